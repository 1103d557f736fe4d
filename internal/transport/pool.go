package transport

import (
	"sync"
	"time"
)

// A pool keeps the connections that wait. The one that waits the shortest is
// taken first, so that a burst's connections end when they are not needed. No
// goroutine watches them: see conn.quiet for how their end is found, and one
// timer closes those that have waited long enough.
type pool struct {
	most, perHost int
	timeout       time.Duration

	mu             sync.Mutex
	hosts          map[host][]*conn // the longest waiting first
	oldest, newest *conn            // of all hosts
	n              int
	timer          *time.Timer // nil while none waits
}

func (p *pool) init(most, perHost int, timeout time.Duration) {
	p.most, p.perHost, p.timeout = most, perHost, timeout
	p.hosts = map[host][]*conn{}
}

// take removes and returns a connection to the host, or nil.
func (p *pool) take(h host) *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := p.hosts[h]
	if len(list) == 0 {
		return nil
	}
	c := list[len(list)-1]
	p.remove(c, list, len(list)-1)
	return c
}

// put takes a connection in. One that waits the longest makes room.
func (p *pool) put(c *conn) {
	c.served = true
	p.mu.Lock()
	var out *conn
	if list := p.hosts[c.host]; len(list) >= p.perHost {
		out = list[0]
		p.remove(out, list, 0)
	} else if p.n >= p.most {
		out = p.oldest
		p.remove(out, p.hosts[out.host], 0)
	}
	c.since = time.Now()
	p.hosts[c.host] = append(p.hosts[c.host], c)
	if c.older = p.newest; c.older != nil {
		c.older.newer = c
	} else {
		p.oldest = c
	}
	p.newest = c
	if p.n++; p.timer == nil {
		p.timer = time.AfterFunc(p.timeout, p.expire)
	}
	p.mu.Unlock()
	if out != nil {
		out.close()
	}
}

// remove takes out the i-th connection of a host's list. The caller holds p.mu.
func (p *pool) remove(c *conn, list []*conn, i int) {
	copy(list[i:], list[i+1:])
	list[len(list)-1] = nil
	p.hosts[c.host] = list[:len(list)-1]
	if c.older != nil {
		c.older.newer = c.newer
	} else {
		p.oldest = c.newer
	}
	if c.newer != nil {
		c.newer.older = c.older
	} else {
		p.newest = c.older
	}
	c.older, c.newer = nil, nil
	p.n--
}

// expire closes what has waited long enough, and comes again for the rest.
func (p *pool) expire() {
	p.mu.Lock()
	var out []*conn
	now := time.Now()
	for p.oldest != nil && now.Sub(p.oldest.since) >= p.timeout {
		out = append(out, p.oldest)
		p.remove(p.oldest, p.hosts[p.oldest.host], 0)
	}
	for h, list := range p.hosts {
		if len(list) == 0 {
			delete(p.hosts, h)
		}
	}
	p.timer = nil
	if p.oldest != nil {
		p.timer = time.AfterFunc(p.timeout-now.Sub(p.oldest.since), p.expire)
	}
	p.mu.Unlock()
	for _, c := range out {
		c.close()
	}
}

func (p *pool) closeAll() {
	p.mu.Lock()
	oldest := p.oldest
	p.oldest, p.newest, p.n = nil, nil, 0
	clear(p.hosts)
	if p.timer != nil {
		p.timer.Stop()
		p.timer = nil
	}
	p.mu.Unlock()
	for c := oldest; c != nil; c = c.newer {
		c.close()
	}
}

func (p *pool) size() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.n
}
