// Every word that the console says, in one place.

const plural = (n: number, one: string, many = `${one}s`) => `${n.toLocaleString('en')} ${n === 1 ? one : many}`

export const s = {
  save: 'Save', cancel: 'Cancel', close: 'Close', edit: 'Edit', done: 'Done', undo: 'Undo', dismiss: 'Dismiss', again: 'Try again',
  copy: 'Copy', copied: 'Copied', actions: 'Actions', never: 'never',
  away: 'The server does not answer. What is shown was read before that, since',

  titles: {
    '': 'Overview', overview: 'Overview', welcome: 'Welcome', providers: 'Providers', routes: 'Routes', requests: 'Requests', tokens: 'Tokens', users: 'Users', roles: 'Roles', audit: 'Audit', encryption: 'Encryption', account: 'Your account',
  } as Record<string, string>,

  problem(status: number, detail: string): string {
    if (status === 0) return 'The server does not answer. Nothing was changed, as far as is known here; look at it again once it is back.'
    if (status === 412) return 'Somebody else changed this after it was read. Nothing of yours was saved: look at what it is now, and send it again.'
    return detail ? detail.charAt(0).toUpperCase() + detail.slice(1) : `The server answered ${status}.`
  },
  failed: {
    role: 'Your role does not include it. An owner can change that.',
    title(status: number): string {
      return ({ 0: 'The server is away', 403: 'This is not for your role', 404: 'There is no such thing here', 503: 'The server cannot read it now' } as Record<number, string>)[status] ?? 'This could not be read'
    },
  },
  form: { fix: 'Not saved: look at the fields that are marked.' },
  confirm: { type: (name: string) => `Type ${name} to confirm` },
  conflict: {
    title: 'It was changed in the meantime', text: 'Somebody else changed this provider after you opened it. Both versions are below; nothing of yours is saved yet.',
    field: 'Field', yours: 'Yours', theirs: 'On the server now', same: 'the same', mine: 'Go on with mine', take: 'Take what is there',
  },
  notFound: { title: 'There is no such page', text: 'The address may be mistyped, or what it led to was removed.', home: 'To the start' },
  nothing: { title: 'Nothing to manage', text: 'Your role lets you use the gateway with your token, and has nothing that is shown here. An owner can change that.' },

  nav: {
    label: 'Main', menu: 'Menu', skip: 'Skip to the content', signOut: 'Sign out', access: 'Access', trust: 'Trust',
    overview: 'Overview', providers: 'Providers', routes: 'Routes', requests: 'Requests', tokens: 'Tokens', users: 'Users', roles: 'Roles', audit: 'Audit', encryption: 'Encryption',
  },
  theme: { label: 'Theme', choices: [['system', 'Theme of the system'], ['light', 'Light'], ['dark', 'Dark']] as [string, string][] },
  keys: {
    title: 'Keyboard', list: [['ctrl k', 'Go to anything by its name'], ['/', 'Find in the list'], ['j', 'Next row'], ['k', 'Row before'], ['enter', 'Open the row'], ['?', 'Show this']] as [string, string][],
  },
  list: {
    more: 'Show more', loading: 'Loading', any: 'any', shown: 'shown',
    noneFound: (q: string) => `Nothing is found for “${q}”`, noneFoundText: 'Look for a part of the name, or clear the field to see all.',
    noneMatch: 'Nothing matches', noneMatchText: 'Widen the filters, or clear them to see all.',
  },

  signIn: {
    title: 'Sign in', action: 'Sign in', ended: 'Your session has ended. Sign in again to go on where you were.',
    name: 'Name', password: 'Password', token: 'Token', tokenHint: 'The first owner finds one in the file owner-token of the data directory. It is taken in exchange for a session, and not kept.',
    byToken: 'Sign in with a token', byPassword: 'Sign in with a password',
    by: (provider: string) => `Sign in with ${provider}`,
    failed: 'You were not signed in.',
    reasons: {
      no_cookie: 'It took too long, or the browser did not keep a cookie. Try again.', flow_expired: 'It took too long. Try again.',
      wrong_state: 'This was begun in another window or at another provider. Try again.', too_many_attempts: 'There were too many attempts from your address. Wait a minute, and try again.',
      provider_unreachable: 'The identity provider does not answer as it should. Try again, or sign in in another way; the log of the server says more.',
      refused_by_provider: 'The identity provider did not let you in, or you went back.',
      code_refused: 'The identity provider took back what it had said. Try again.', client_refused: 'The identity provider does not know this server: its client id or secret is wrong.',
      bad_token: 'What the identity provider said cannot be believed; the log of the server says more.', expired_token: 'What the identity provider said was out of date: look at the clocks.',
      wrong_issuer: 'Another identity provider answered than was asked.', wrong_audience: 'What the identity provider said was not meant for this server.', wrong_nonce: 'What the identity provider said was not an answer to this sign-in. Try again.',
      email_domain: 'You have no verified address of a domain that is let in.', no_role: 'You are known, but nothing there gives you a role here. Ask whoever runs this server.',
      unknown_user: 'You are not a user here yet. Ask whoever runs this server.', disabled_user: 'Your user is disabled.',
      name_taken: 'Others have the names that you could have here. Ask whoever runs this server.', bad_name: 'The identity provider gives no name that you could have here.',
      last_owner: 'You are the last owner here, and the identity provider says that you are none. Somebody else must be made an owner first.',
      unknown_role: 'You would be given a role that does not exist here. Ask whoever runs this server.',
      needs_tls: 'Signing in takes HTTPS here, or a browser on the machine of the server.', unavailable: 'The database does not answer. Try again.', error: 'Something went wrong in the server. Its log says more.',
    },
  },
  account: {
    title: 'Your account', of: (name: string) => `Your account, ${name}`, sub: (name: string, roles: string) => (roles ? `${name}, with the roles ${roles}.` : `${name}, without a role.`),
    sessions: 'Where you are signed in', device: 'Device', address: 'Address', since: 'Since', seen: 'Last seen', current: 'this one', on: (browser: string, system: string) => `${browser} on ${system}`, unknown: 'unknown',
    end: 'Sign out', endThis: (device: string, address: string) => `Sign out ${device} at ${address}`, ended: 'The session is over.', endOthers: 'Sign out everywhere else', endedOthers: 'Your other sessions are over.',
    endOthersText: (n: number) => `${plural(n, 'other session')} of yours ${n === 1 ? 'ends' : 'end'} at once. This one stays.`,
  },
  goto: {
    title: 'Go to', label: 'A screen, provider, route, user or token', key: 'ctrl k', screen: 'Screen', tokenOf: (owner: string) => `Token of ${owner}`, found: (n: number) => `${n.toLocaleString('en')} found`,
  },
  command: { title: 'Copy as gatehouse command', label: 'The same on the command line', name: 'NAME' },
  affected: {
    looking: 'Looking for what uses it…', unknown: 'What else uses it could not be read.',
    routes: (n: number, names: string, more: boolean) => `${more ? 'At least ' : ''}${plural(n, 'route')} ${n === 1 ? 'has' : 'have'} it as a target${names && `: ${names}`}.`,
    tokens: (n: number, names: string, more: boolean) => `${more ? 'At least ' : ''}${plural(n, 'token')} ${n === 1 ? 'names' : 'name'} it on ${n === 1 ? 'its' : 'their'} list${names && `: ${names}`}.`,
    requests: (shown: string, n: number) => (n === 0 ? 'No request went here in the last day.' : `${shown} ${n === 1 ? 'request' : 'requests'} went here in the last day.`),
  },
  password: {
    current: 'Password until now', next: 'New password', again: 'New password again', hint: 'Of 12 characters or more: a few words do.', differ: 'The two are not the same.',
    set: 'Set a password', change: 'Change password', others: 'All your other sessions end.', saved: 'The password is saved.',
    must: 'Choose a password', mustText: 'Somebody else gave you the one that you signed in with. Choose one that only you know.',
  },

  welcome: {
    title: 'Welcome to your Gatehouse', sub: 'Four steps to the first request. Everything can be changed later.',
    password: 'Set your password', passwordSet: 'Set. The file owner-token has been removed; its token works until it is revoked.', passwordText: 'With it you sign in from now on.',
    provider: 'Add a provider', token: 'Mint a token', client: 'Point a client at it',
    tokenHint: 'What a person or tool presents instead of the provider’s key. This one may use the gateway, and nothing else.',
    minted: (name: string) => `${name} is minted. It stands in the lines below, this once.`,
    waiting: 'Waiting for your first request…',
    received: (status: number, time: string, tokens: string) => `Received: answered ${status} in ${time}, ${tokens} tokens.`,
    onward: 'Go on to the providers',
  },
  setup: { label: 'Clients', of: (tool: string) => `Set-up for ${tool}`, use: 'Use it' },

  state: {
    label: 'State', ready: 'ready', disabled: 'disabled', deleted: 'Deleted', fault: 'settings unreadable', keyless: 'ready, without keys', noneUsable: 'no usable key',
    all: (state: string) => `all keys ${state}`,
    some: (n: number, state: string, of: number) => (of === 1 ? `key ${state}` : `${n} of ${of} keys ${state}`),
    key: { ready: 'ready', cooling: 'cooling', failed: 'failed', disabled: 'disabled', expired: 'expired', unreadable: 'unreadable' },
  },

  provider: {
    one: 'Provider', add: 'Add provider', sub: 'Where requests go. A change is in force on the next request.', find: 'Find by name',
    host: 'Host', on: 'On', switch: (name: string) => `Send requests to ${name}`,
    none: 'No provider yet', noneText: 'A provider is where requests go: OpenAI, Anthropic, a model on your own machine, or anything that speaks their APIs.',
    preset: 'Start from', name: 'Name', nameHint: 'Stands in its URLs. It cannot be changed later.', displayName: 'Name for people', type: 'API', baseURL: 'Base URL',
    types: { openai: 'OpenAI', anthropic: 'Anthropic Messages', gemini: 'Google Gemini' },
    urls: { openai: 'As the SDK takes it, with /v1.', anthropic: 'As the SDK takes it, without /v1.', gemini: 'As the SDK takes it, without a version.' },
    connection: 'Connection', api: 'API', strategy: 'Strategy', revision: 'Revision', strategies: { in_order: 'In order', weighted: 'By weight', least_loaded: 'Least loaded' },
    off: (name: string) => `${name} is switched off.`, tryIt: 'Test', trying: 'Trying it…', test: 'Test keys', testAgain: 'Test again', testing: 'Trying the keys…', tested: (time: string) => `tested, ${time}`, took: 'Took', testTitle: (name: string) => `Keys of ${name}`,
    editTitle: (name: string) => `Edit ${name}`, requests: 'Requests', changes: 'Changes',
    remove: 'Delete provider', removeTitle: (name: string) => `Delete ${name}?`,
    removeKeys: (n: number) => (n === 0 ? 'It has no keys.' : `${plural(n, 'key')} will be removed for good.`),
    removeText: 'Requests to it get 404 from then on. It can be restored, disabled and without keys; its history stays.', removed: (name: string) => `${name} is deleted.`,
    deletedText: 'This provider was deleted. It can be restored, disabled and without keys.', restore: 'Restore', purge: 'Remove for good', purgeTitle: (name: string) => `Remove ${name} for good?`,
    purgeText: 'Its row goes. What the audit log and the requests say of it stays.',
  },

  key: {
    one: 'Key', many: 'Keys', order: 'Keys, in failover order', none: 'no keys', number: (n: number) => plural(n, 'key'), unnamed: 'no label', noHint: 'too short for a hint',
    noneTitle: 'No keys', noneText: 'Requests go to this provider without a credential. Give it a key if it wants one; with several, the next is tried when one is refused or rate limited.',
    secret: 'API key', newSecret: 'New key', sealed: 'It is encrypted at once, and cannot be read back.', keysAt: 'Get one at', noneNeeded: 'It needs none, unless you set one up.',
    again: (name: string) => `Key ${name} again`, againHint: 'The host changes, and keys may be sent only to the host that they were given for.',
    label: 'Label', labelHint: 'A name for people, such as production.', expires: 'Expires', expiresHint: 'Left empty: never.', lastUsed: 'Last used',
    weight: 'Weight', weightHint: 'Its share of the turns, where the strategy is by weight.',
    add: 'Add key', addTitle: (name: string) => `Add a key to ${name}`, editTitle: (name: string) => `Edit key ${name}`,
    rotate: 'Rotate', rotateTitle: (name: string) => `Rotate key ${name}`, rotated: 'rotated',
    rotateText: (hint: string) => `The new key takes the place of ${hint || 'this one'}: same label, same position. Requests that are under way finish with the old key.`,
    drained: 'The last request with the old key is over: revoke it at the provider now.', notDrained: 'Requests with the old key are still under way: revoke it at the provider later.',
    skipTest: 'Do not test the new key', skipTestHint: 'For a provider that has no list of models.',
    off: (name: string) => `Key ${name} is disabled.`, enable: 'Enable', disable: 'Disable', remove: 'Remove', removeTitle: (name: string) => `Remove key ${name}?`, removeText: 'It cannot be brought back: only the provider has it still.',
    removeLast: 'It is the only key: requests go to the provider without a credential from then on.', removeOthers: (n: number) => `${plural(n, 'other key')} of this provider ${n === 1 ? 'stays' : 'stay'}.`,
    actions: (name: string) => `Actions for key ${name}`, move: 'Move', grip: (name: string, at: number) => `Move key ${name}, now number ${at}`, gripHint: 'Drag, or press space and the arrow keys',
    lifted: 'Lifted. Arrow keys move it, space puts it down, escape takes it back.', moved: (to: number, of: number) => `Number ${to} of ${of}.`, notMoved: 'Back where it was.', orderSaved: 'The order is saved.',
    orderStale: 'Somebody changed this provider at the same time. The order is theirs; move the key again.',
    left: (seconds: number) => `, ${seconds} s`, tryAgain: (seconds: number) => `It is tried again in ${seconds} s.`,
    reasons: {
      rate_limited: 'The provider asked to wait.', unauthorized: 'The provider refused it with 401. Replace it, or test it again.', payment_required: 'The provider wants to be paid first.',
      forbidden: 'The provider refused it with 403.', insufficient_quota: 'No credit is left at the provider.',
    } as Record<string, string>,
    unreadableHint: 'It does not open with the encryption keys that are here. Bring back the key it was sealed under, or replace it.',
  },

  settings: {
    title: 'Settings', platform: 'Platform', noneYet: 'There are no settings yet: these are the defaults.', reach: 'How it is reached', saved: 'The settings are saved.', isSet: 'is set, and not shown',
    replace: 'Replace', replaceThis: (label: string) => `Replace ${label}`, clear: 'Clear settings', clearText: 'All settings go back to their defaults, and the secrets among them are removed.',
    types: { openai: 'OpenAI', azure: 'Azure OpenAI', anthropic: 'Anthropic', bedrock: 'Amazon Bedrock', gemini: 'Google Gemini' } as Record<string, string>,
    fields: {
      organization: { label: 'Organization', hint: 'Sent with every request.' }, project: { label: 'Project', hint: 'Sent with every request.' }, api_version: { label: 'API version', hint: 'Left empty: the v1 API.' },
      region: { label: 'Region', hint: 'Such as eu-central-1.' }, model: { label: 'Model', hint: 'What requests for other models go to.' }, small_fast_model: { label: 'Small fast model' },
      access_key: { label: 'Access key id' }, access_key_secret: { label: 'Secret access key' }, role_arn: { label: 'Role ARN' }, ambient: { label: 'Use the credentials of the server itself' },
      first_byte_timeout: { label: 'Wait for the first byte', hint: 'Such as 30s or 5m; left empty: the default of the gateway.' }, idle_timeout: { label: 'Longest pause in an answer' }, connect_timeout: { label: 'Wait for a connection' },
      max_concurrency: { label: 'Requests at a time', hint: 'At each replica; left empty: any number.' }, failover_on: { label: 'Go on to the next key on', hint: 'Causes, separated by spaces; left empty: all.' },
      replay_after_send: { label: 'Try again what may have been billed', standard: true }, probe: { label: 'Try refused keys in the background', standard: true }, breaker: { label: 'Keep requests away while it does not answer', standard: true },
      allowed_models: { label: 'Models', hint: 'Separated by spaces, such as gpt-5 or claude-*; left empty: all.' }, allowed_paths: { label: 'Paths after /v1/', hint: 'Separated by spaces; left empty: all.' },
      proxy: { label: 'Proxy', hint: 'http://HOST:PORT or https://HOST:PORT.' }, proxy_credentials: { label: 'Proxy credentials', hint: 'USER:PASSWORD.' }, ca: { label: 'Trusted certificates', hint: 'PEM; left empty: those of the system.' },
    } as Record<string, { label: string; hint?: string; standard?: boolean }>,
  },

  route: {
    one: 'Route', add: 'Add route', sub: 'Models of your own at /ai/v1: each leads to models of providers, and goes on to the next when one fails.', targets: 'Targets', actions: (name: string) => `Actions for route ${name}`,
    switch: (name: string) => `Serve ${name}`, edit: (name: string) => `Edit route ${name}`, name: 'Name', nameHint: 'The model that clients ask for. It cannot be changed later.', targetsHint: 'Where it leads, in failover order',
    providerOf: (n: number) => `Provider of target ${n}`, modelOf: (n: number) => `Model of target ${n}`, weightOf: (n: number) => `Weight of target ${n}`, up: (n: number) => `Move target ${n} up`, drop: (n: number) => `Drop target ${n}`, more: 'One more target',
    share: (n: number) => `weight ${n}`, states: { ready: 'ready', disabled: 'provider disabled', not_served: 'not served', deleted: 'provider deleted' },
    stale: 'Somebody else changed this route after you opened it. On the server it leads now to:', remove: 'Delete route', removeTitle: (name: string) => `Delete ${name}?`, removeText: 'Requests for it get 404 from then on. It cannot be brought back.',
    none: 'No routes yet', noneText: 'A route is a model name of your own, such as fast, that leads to a model of a provider, with others to fall back on. Clients keep the name while you change what is behind it.',
  },

  encryption: {
    sub: 'Every secret is sealed under a data key, and the data keys by one that is not in the database.', keys: 'Data keys', none: 'No data keys', purpose: 'Purpose', kek: 'Wrapped by', secrets: 'Secrets', made: 'Made',
    purposes: { seal: 'seals secrets', fingerprint: 'finds duplicates', sign: 'signs the audit log' }, states: { primary: 'primary', active: 'in use', pending: 'pending', retired: 'retired' },
    rotation: 'Rotation', rotations: { idle: 'no rotation under way', requested: 'about to begin', distributing: 'every replica is given the new key', resealing: 'secrets are sealed again' },
    done: (n: number, of: number) => `${n.toLocaleString('en')} of ${plural(of, 'secret')} ${n === 1 ? 'is' : 'are'} sealed under the primary key`, rotate: 'Rotate keys', mode: 'What is renewed', full: 'Everything', rewrap: 'The wrapping only',
    modeHints: { full: 'A new data key; every secret is sealed again, while Gatehouse serves.', rewrap: 'The data keys stay, and are wrapped by the newest key-encrypting key.' },
    verify: 'Verify secrets', verifyText: 'Tries every stored secret, and holds each to the audit log: what was put back, removed or planted behind the server’s back is found.',
    found: (n: number, of: number) => (n === 0 ? `all ${plural(of, 'secret')} open, and are the latest` : `${plural(n, 'thing')} wrong with ${plural(of, 'secret')}`),
  },

  overview: {
    sub: 'The last 24 hours, as they go on.', requests: 'Requests', errors: 'Errors', more: 'Further attempts', firstByte: 'First byte, mean', tokens: 'Tokens in / out', byHour: 'Requests by the hour', hour: 'Hour',
    most: (n: number) => `Requests of each of the last 24 hours; the most in one is ${n.toLocaleString('en')}. The table below has the numbers.`, of: (n: number, bad: number) => `${plural(n, 'request')}, ${plural(bad, 'error')}`,
    dayAgo: '24 hours ago', now: 'now', asTable: 'As a table', health: 'Providers in use', noneOn: 'No provider is switched on.', rest: (n: number) => `These are of the first ${n.toLocaleString('en')} providers by name: all of them`, models: 'Models asked for most',
  },

  token: {
    one: 'Token', mint: 'Mint token', name: 'Name', once: 'The token is shown this once. Gatehouse keeps a digest of it only.', sub: 'What people and tools present. Revoking one is in force at once.',
    findOwner: 'Owner', scopes: 'Scopes', allowed: 'Providers and models', anything: 'any', lastUsed: 'Last used', expires: 'Expires', expired: 'expired', revoke: 'Revoke', revokeThis: (name: string) => `Revoke ${name}`,
    revokeTitle: (name: string) => `Revoke ${name}?`, revokeText: 'Whoever uses it is refused from the next request on. It cannot be brought back.', used: 'It was last used', revoked: (name: string) => `${name} is revoked.`,
    none: 'No tokens yet', noneText: 'A token is what a person or tool presents instead of a provider’s key. Give each its own, so that one can be revoked alone.', noneOf: 'There is no such user, or they have no token.',
    minted: (name: string) => `${name} is minted`, nameHint: 'It stands in logs and records.', owner: 'Owner', ownerHint: (name: string) => `A user; left empty: ${name}.`,
    providers: 'Providers', models: 'Models', listHint: 'Names, separated by spaces; left empty: any.', modelsHint: 'Separated by spaces, such as gpt-5 or claude-*; left empty: any.',
    rpm: 'Requests a minute', concurrency: 'Requests at a time', anyNumber: 'Left empty: any number.',
    scopeHints: {
      'gateway:use': 'Send requests to models', 'gateway:passthrough': 'And to paths outside inference', 'interception:read': 'Read requests and usage', 'audit_log:read': 'Read the audit log', 'metrics:read': 'Read the metrics',
      'ai_provider:*': 'Manage providers', 'ai_provider_key:*': 'Manage their keys', 'ai_route:*': 'Manage routes', 'api_key:*': 'Manage tokens', 'user:*': 'Manage users', 'role:*': 'Manage roles',
      'encryption_key:*': 'See and rotate the encryption keys', 'replica:read': 'See the replicas', all: 'Everything that its owner may',
    } as Record<string, string>,
  },

  user: {
    one: 'User', add: 'Add user', sub: 'Who may do what, by their roles. A change is in force at once.', roles: 'Roles', added: 'Added', letIn: 'Let in', noRole: 'none', switch: (name: string) => `Let ${name} in`,
    actions: (name: string) => `Actions for ${name}`, edit: (name: string) => `Edit ${name}`, name: 'Name', password: 'Set password', passwordOf: (name: string) => `Password of ${name}`, passwordText: 'They sign in with it once, and must choose another then. All their sessions end.', remove: 'Delete user', removeTitle: (name: string) => `Delete ${name}?`,
    removeText: 'Their tokens are refused from the next request on. What the audit log and the requests say of them stays.', none: 'No users', noneText: 'A user is a person or a tool that has tokens, and roles that say what these may do.',
  },

  role: {
    add: 'Make a role', sub: 'What each role can do: on all records, or on one’s own only.', matrix: 'What each role can do', permission: 'Permission', reach: { '': 'no', own: 'own', all: 'all' },
    actions: (name: string) => `Actions for role ${name}`, edit: (name: string) => `Edit role ${name}`, name: 'Name', nameHint: 'It cannot be changed later.', description: 'What it is for',
    grants: 'What it grants', grantsHint: 'Nobody can give what they have not.', remove: 'Delete role', removeTitle: (name: string) => `Delete role ${name}?`, removeText: 'Whoever has it can do from then on what their other roles grant.',
    about: { owner: 'Everything', auditor: 'Reads the audit log, records and usage', 'user-admin': 'Users and their tokens', member: 'Uses the gateway; own tokens, own requests' } as Record<string, string>,
  },

  requests: {
    none: 'No requests yet', noneOf: 'Nothing has been sent to this provider, as far as records are kept.', when: 'When', model: 'Model', firstByte: 'First byte', tokens: 'Tokens in / out', took: 'Took',
    unknown: 'end unknown', left: 'client left', failedOver: (status: number) => `${status}, failed over`, noModel: 'no model',
    sub: 'What reached the gateway, as it ends. No prompt and no answer is kept.', subOwn: 'What your tokens sent to the gateway, as it ends. No prompt and no answer is kept.',
    noneText: 'Each request to the gateway is listed here the moment it is over. Point a client at a provider to see the first.',
    live: 'live', paused: 'paused', connecting: 'connecting', pause: 'Pause', goOn: 'Go on', findModel: 'Model', findProvider: 'Provider', findToken: 'Token', status: 'Status',
    statuses: [['2xx', 'answered'], ['error', 'any error'], ['4xx', '4xx'], ['429', '429'], ['5xx', '5xx'], ['499', 'client left']] as [string, string][],
    endpoint: 'Endpoint', answered: 'Answered by', owner: 'Owner', client: 'Client', sizes: 'Bytes in / out', id: 'Request id', attempts: 'Attempts', noAttempt: 'It was answered without asking a provider.', outcome: 'Outcome',
    twice: 'The provider may have billed it twice.', facts: 'Request', usage: 'Tokens used', kinds: { input: 'Input', output: 'Output', cache_read: 'From cache', cache_write: 'Into cache', reasoning: 'Reasoning' },
  },

  audit: {
    none: 'No changes', noneText: 'Nothing is in the audit log about this.', did: (action: string, resource: string) => `${({ create: 'created', update: 'updated', delete: 'deleted', restore: 'restored', purge: 'purged', rotate: 'rotated', open: 'opened', denied: 'was denied:', login_failed: 'failed to log in:' } as Record<string, string>)[action] ?? action} ${resource.replace('api key', 'token')}`,
    kinds: { anonymous: 'somebody' } as Record<string, string>, secret: 'changed', cleared: 'cleared', unreadable: 'was unreadable', times: (n: number) => `${n.toLocaleString('en')} times`,
    from: (address: string) => `from ${address}`, token: (name: string) => `token ${name}`, request: (id: string) => `request ${id}`, noOrigin: 'by the server itself',
    sub: 'Who did what. Each change leaves an entry, or is not made.', covered: (n: string) => `${n} entries are covered by the checkpoint of`, signed: 'signed', checkpoint: 'Checkpoint', export: 'Export',
    checkpointText: 'Keep this where nobody who can write to the database can. With it, gatehouse audit verify proves that the log up to here is the one that was signed.', key: 'Public key of the signature',
    find: 'Find actor, target or request id', resource: 'Resource', action: 'Action', since: 'Since', spans: [['hour', 'the last hour'], ['day', 'the last day'], ['week', 'the last week'], ['month', 'the last 30 days']] as [string, string][],
    who: 'Who', what: 'What', target: 'Target', number: '#', system: '(system)',
  },
}
