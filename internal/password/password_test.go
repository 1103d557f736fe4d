package password_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/gatehousehq/gatehouse/internal/password"
	"github.com/gatehousehq/gatehouse/internal/secret"
)

func TestAPasswordIsKnownByItsHash(t *testing.T) {
	t.Parallel()
	h, ctx := password.NewHasher(), t.Context()
	const mine = "fünf Enten im Teich"
	hash, err := h.Hash(ctx, secret.New(mine))
	if err != nil {
		t.Fatal(err)
	}
	again, err := h.Hash(ctx, secret.New(mine))
	if err != nil || again == hash {
		t.Errorf("twice the same hash, %v", err)
	}
	if !strings.HasPrefix(hash.Reveal(), "$argon2id$v=19$m=19456,t=2,p=1$") || strings.Contains(hash.Reveal(), "Enten") {
		t.Errorf("the hash is %s", hash.Reveal())
	}
	for name, c := range map[string]struct {
		hash, try string
		want      bool
	}{
		"the password":                         {hash.Reveal(), mine, true},
		"the same in Unicode's other form":     {hash.Reveal(), strings.Replace(mine, "ü", "u\u0308", 1), true},
		"another case":                         {hash.Reveal(), strings.ToLower(mine), false},
		"with a space behind it":               {hash.Reveal(), mine + " ", false},
		"nothing":                              {hash.Reveal(), "", false},
		"the hash":                             {hash.Reveal(), hash.Reveal(), false},
		"of somebody who has none":             {"", mine, false},
		"nothing, of somebody who has nothing": {"", "", false},
	} {
		got, err := h.Check(ctx, secret.New(c.hash), secret.New(c.try))
		if err != nil || got != c.want {
			t.Errorf("%s: %t, %v", name, got, err)
		}
	}
}

func TestAHashOfAnotherMakingIsRefused(t *testing.T) {
	t.Parallel()
	const tail = "$c2FsdHNhbHRzYWx0c2FsdA$a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2U"
	for name, hash := range map[string]string{
		"the password itself":  "correct horse battery",
		"of another function":  "$argon2i$v=19$m=19456,t=2,p=1" + tail,
		"of another version":   "$argon2id$v=16$m=19456,t=2,p=1" + tail,
		"that takes 4 TiB":     "$argon2id$v=19$m=4294967295,t=2,p=1" + tail,
		"that takes for ever":  "$argon2id$v=19$m=19456,t=4294967295,p=1" + tail,
		"without passes":       "$argon2id$v=19$m=19456,t=0,p=1" + tail,
		"without lanes":        "$argon2id$v=19$m=19456,t=2,p=0" + tail,
		"with a sign":          "$argon2id$v=19$m=+19456,t=2,p=1" + tail,
		"without a key":        "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$",
		"with something after": "$argon2id$v=19$m=19456,t=2,p=1" + tail + "$x",
		"cut":                  "$argon2id$v=19$m=19456",
	} {
		ok, err := password.NewHasher().Check(t.Context(), secret.New(hash), secret.New("correct horse battery"))
		if ok || err == nil || strings.Contains(err.Error(), "correct") {
			t.Errorf("%s: %t, %v", name, ok, err)
		}
	}
}

func FuzzCheck(f *testing.F) {
	f.Add("$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHRzYWx0c2FsdA$a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2U")
	f.Add("$argon2id$v=19$m=8,t=1,p=1$$")
	h := password.NewHasher()
	f.Fuzz(func(t *testing.T, hash string) {
		if ok, _ := h.Check(t.Context(), secret.New(hash), secret.New("guess")); ok {
			t.Errorf("%q lets in", hash)
		}
	})
}

func TestSoManyHashesAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := password.NewHasher()
		release := password.Occupy(h, password.AtATime)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { _, err := h.Hash(ctx, secret.New("x")); done <- err }()
		synctest.Wait()
		select {
		case err := <-done:
			t.Errorf("one more was made: %v", err)
		default:
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("after it was given up: %v", err)
		}
		release()
		if _, err := h.Hash(t.Context(), secret.New("x")); err != nil {
			t.Errorf("when there is a turn: %v", err)
		}
	})
}

func TestWhichPasswordsWillDo(t *testing.T) {
	t.Parallel()
	for p, want := range map[string]error{
		"":                                   password.ErrLength,
		"elevenchars":                        password.ErrLength,
		"twelve chars":                       nil,
		"zwölf Zeiche":                       nil,
		"u\u0308u\u0308u\u0308abc":           password.ErrLength, // six characters, in nine
		strings.Repeat("abcdefgh", 32):       nil,
		strings.Repeat("abcdefgh", 32) + "x": password.ErrLength,
		"tab\tin the middle":                 password.ErrText,
		"not UTF-8 \xff\xfe at all":          password.ErrText,
		"aaaaaaaaaaaa":                       password.ErrCommon,
		"abababababab":                       password.ErrCommon,
		"password1234":                       password.ErrCommon,
		"Password-2026!":                     password.ErrCommon,
		"passwordpassword":                   password.ErrCommon,
		"qwertyuiop123":                      password.ErrCommon,
		"123456789012":                       password.ErrCommon,
		"gatehouse2026":                      password.ErrCommon,
		"ada.lovelace1815":                   password.ErrCommon,
		"the gatehouse at the river":         nil,
		"493817264058":                       nil,
		"correct horse battery":              nil,
	} {
		err := password.Acceptable(secret.New(p), "Ada.Lovelace")
		if !errors.Is(err, want) || (want == nil) != (err == nil) {
			t.Errorf("%q: %v, want %v", p, err, want)
		}
		if err != nil && p != "" && strings.Contains(err.Error(), p) {
			t.Errorf("%q: the error has it", p)
		}
	}
}

func BenchmarkHash(b *testing.B) {
	h := password.NewHasher()
	for b.Loop() {
		if _, err := h.Hash(b.Context(), secret.New("correct horse battery")); err != nil {
			b.Fatal(err)
		}
	}
}
