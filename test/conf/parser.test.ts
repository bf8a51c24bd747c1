import { describe, expect, test } from 'vitest'
import { type Config, type ConfWorld, diagnosticText, exitCodeOf, parseConf } from '../../src/conf/index.ts'

// What other rooms take from a Config, and what people and scripts read: the printed remarks.

const world = (files: Readonly<Record<string, string>> = {}): ConfWorld => ({
  readFile: path => {
    const text = files[path]
    if (text === undefined) throw new Error('ENOENT: no such file or directory')
    return text
  },
  glob: () => [],
  env: {},
})

const configOf = (text: string, files: Readonly<Record<string, string>> = {}): Config => {
  const { config, diagnostics } = parseConf({ file: 'x.conf', text }, world(files))
  if (config === null) throw new Error(diagnostics.map(diagnosticText).join('\n'))
  return config
}

describe('http_port', () => {
  const ports = configOf(`http_port 3128
http_port 192.0.2.1:3129 intercept name=nat
http_port [2001:DB8::1]:3130 tproxy
http_port localhost:3131
http_port [::]:3132
http_port 80 accel defaultsite=www.example.org vport no-vhost tcpkeepalive=60,10
http_port 81 accel vport=8080 protocol=https
http_access deny all`).http_port

  test('modes, places and names', () => {
    expect(ports.map(p => [p.mode, p.address, p.hostName, p.port, p.dualStack, p.name])).toEqual([
      ['forward', null, null, 3128, true, '3128'],
      ['intercept', '192.0.2.1', null, 3129, false, 'nat'],
      ['tproxy', '2001:db8::1', null, 3130, false, '[2001:DB8::1]:3130'],
      ['forward', null, 'localhost', 3131, false, 'localhost:3131'],
      ['forward', '::', null, 3132, true, '[::]:3132'],
      ['accel', null, null, 80, true, '80'],
      ['accel', null, null, 81, true, '81'],
    ])
    expect(ports[1]?.at).toEqual({ file: 'x.conf', line: 2, column: 1, from: null })
  })

  test('options of an accelerator', () => {
    expect(ports[5]).toMatchObject({
      defaultSite: 'www.example.org',
      vport: 'local',
      vhost: false,
      protocol: 'http',
      tcpKeepalive: { idle: 60, interval: 10, timeout: 0 },
    })
    expect(ports[6]).toMatchObject({ vport: 8080, vhost: true, protocol: 'https', defaultSite: null })
    expect(ports[0]).toMatchObject({ vhost: false, vport: null, connectionAuth: true })
  })

  test('port 0 is for tests', () => {
    const text = 'http_port 127.0.0.1:0\nhttp_port 127.0.0.1:0 intercept\nhttp_access deny all\n'
    expect(parseConf({ file: 'x.conf', text }, world()).config).toBeNull()
    expect(
      parseConf({ file: 'x.conf', text }, { ...world(), portZero: true }).config?.http_port.map(p => p.port),
    ).toEqual([0, 0])
  })
})

describe('acl', () => {
  test('values carry their place, -i their own, a list file its line', () => {
    const { acl } = configOf('http_port 1\nacl a url_regex -i x +i y "list"\nhttp_access deny a', {
      list: '# c\n\nz w\n',
    })
    const a = acl.find(d => d.name === 'a')
    expect(a?.values.map(v => [v.text, v.caseInsensitive, v.at.file, v.at.line, v.at.column])).toEqual([
      ['x', true, 'x.conf', 2, 20],
      ['y', false, 'x.conf', 2, 25],
      ['z w', false, 'list', 3, 1],
    ])
    expect(a?.values[2]?.at.from).toEqual({ file: 'x.conf', line: 2, column: 27, from: null })
  })

  test('the built-in ones are there, and are marked', () => {
    const builtIn = configOf('http_port 1')
      .acl.filter(d => d.builtIn)
      .map(d => `${d.name} ${d.type}`)
    expect(builtIn).toContain('all src')
    expect(builtIn).toContain('CONNECT method')
    expect(builtIn).toContain('to_linklocal dst')
  })

  test('a use has the spelling of the definition', () => {
    const { http_access } = configOf('http_port 1\nacl LAN src 10.0.0.0/8\nhttp_access allow !lan connect')
    expect(http_access).toMatchObject([
      {
        action: 'allow',
        acls: [
          { name: 'LAN', negated: true },
          { name: 'CONNECT', negated: false },
        ],
        text: 'http_access allow !lan connect',
      },
    ])
  })

  test('types with a word of their own keep it apart', () => {
    const { acl } = configOf(
      'http_port 1\nacl h req_header X-A -i v\nacl h req_header x-a w\nacl n note -m=, tag v\nhttp_access deny h n',
    )
    const h = acl.find(d => d.name === 'h')
    expect([h?.argument?.text, h?.values.map(v => v.text)]).toEqual(['X-A', ['v', 'w']])
    const n = acl.find(d => d.name === 'n')
    expect([n?.argument?.text, n?.flags, n?.values.map(v => v.text)]).toEqual(['tag', ['-m=,'], ['v']])
  })

  test('a hundred thousand values, in a file or glued together, are no burden', () => {
    const values = Array.from({ length: 100_000 }, (_, i) => `h${i}.example`)
    const { acl } = configOf(
      `http_port 1\nacl a dstdomain "list"\nacl b dstdomain \\\n ${values.join(' \\\n ')}\nhttp_access deny a b`,
      { list: values.join('\n') },
    )
    const [a, b] = [acl.find(d => d.name === 'a'), acl.find(d => d.name === 'b')]
    expect(a?.values.length).toBe(100_000)
    expect(b?.values.at(-1)?.at).toEqual({ file: 'x.conf', line: 100_003, column: 2, from: null })
  })
})

describe('http_access keeps its lines in order, whatever they are', () => {
  const kinds = ['allow localhost', 'deny localhost', 'allow all', 'deny all']
  const orders: string[][] = [[]]
  for (let n = 0; n < 3; n++)
    for (const order of orders.slice())
      if (order.length === n) for (const kind of kinds) orders.push([...order, kind])

  test('every order of none to three lines', () => {
    expect(orders.length).toBe(1 + 4 + 16 + 64)
    for (const order of orders) {
      const { http_access } = configOf(['http_port 1', ...order.map(o => `http_access ${o}`)].join('\n'))
      const read = http_access.map(l => `${l.action} ${l.acls.map(a => a.name).join(' ')}`)
      // none at all is "deny all"; the opposite of the last line is for whoever evaluates them
      expect(read).toEqual(order.length === 0 ? ['deny all'] : order)
    }
  })
})

describe('values', () => {
  test('no limit is Infinity', () => {
    const c = configOf(
      'http_port 1\nrequest_body_max_size 0 KB\nmaximum_object_size none\npconn_lifetime 0 seconds\nquick_abort_min -1 KB\n',
    )
    expect([c.request_body_max_size, c.maximum_object_size, c.pconn_lifetime, c.quick_abort_min]).toEqual([
      Infinity,
      Infinity,
      Infinity,
      Infinity,
    ])
  })

  test('times are milliseconds, ages are seconds', () => {
    const c = configOf('http_port 1\nconnect_timeout 2 minutes\nnegative_ttl 2 minutes\n')
    expect([c.connect_timeout, c.negative_ttl, c.max_stale, c.client_lifetime]).toEqual([
      120_000, 120, 604_800, 86_400_000,
    ])
  })

  test('refresh_pattern is in seconds, its percentage a percentage', () => {
    const [pattern] = configOf(
      'http_port 1\nrefresh_pattern -i \\.deb$ 60 150% 1440 override-expire max-stale=5',
    ).refresh_pattern
    expect(pattern).toMatchObject({
      regex: '\\.deb$',
      caseInsensitive: true,
      min: 3600,
      percent: 150,
      max: 86_400,
      options: { overrideExpire: true, ignoreReload: false, maxStale: 5, negativeTtl: null },
    })
  })

  test('access_log and logformat', () => {
    const c = configOf('http_port 1\nlogformat f %>a "%rm" # x\naccess_log stdio:/a f !localhost\naccess_log none')
    expect(c.logformat).toMatchObject([{ name: 'f', text: '%>a "%rm" # x' }])
    expect(c.access_log).toMatchObject([
      { module: 'stdio', place: '/a', format: 'f', acls: [{ name: 'localhost', negated: true }], onError: 'drop' },
      { module: 'none', place: '', acls: [] },
    ])
    expect(configOf('http_port 1').access_log).toMatchObject([
      { module: 'daemon', place: '/var/log/glassquid/access.log', format: 'squid' },
    ])
  })

  test('what was given is told from what holds by itself, and every file is named', () => {
    const c = configOf('include a\nhttp_port 1', { a: 'include b\nvia off\nacl l src "list"', b: 'max_filedesc 10', list: '' })
    expect([...c.given.keys()].sort()).toEqual(['acl', 'http_port', 'max_filedescriptors', 'via'])
    expect(c.files).toEqual(['x.conf', 'a', 'b', 'list'])
  })

  test('one Config does not change another', () => {
    configOf('http_port 1\nacl all src 10.0.0.1\nacl localhost src 10.9.9.9\nhttp_access allow localhost')
    const { acl, http_access } = configOf('http_port 1')
    expect(acl.find(d => d.name === 'localhost')?.values.map(v => v.text)).toEqual(['127.0.0.1/32', '::1/128'])
    expect(http_access.length).toBe(1)
  })
})

describe('what is printed', () => {
  test('keeps the words and file(line), and adds file:line:column and the chain of includes', () => {
    const { diagnostics } = parseConf(
      { file: 'x.conf', text: '\ninclude sub.conf\nhttp_port 1\nhttp_access deny all' },
      world({ 'sub.conf': 'http_acess allow all' }),
    )
    expect(diagnostics.map(diagnosticText)).toEqual([
      `ERROR: sub.conf(1): unrecognized directive near 'http_acess allow all'
    at sub.conf:1:1
    included from x.conf(2)
    hint: did you mean http_access?`,
      `FATAL: sub.conf(1): Found 1 unrecognized directive(s)
    at sub.conf:1:1
    included from x.conf(2)`,
    ])
    expect(exitCodeOf(diagnostics)).toBe(1)
  })

  test('warnings and notes leave exit 0', () => {
    const { diagnostics, config } = parseConf(
      { file: 'x.conf', text: 'http_port 1\nhttp_access allow all\nread_timeout 5 min' },
      world(),
    )
    expect(diagnostics.map(d => d.severity)).toEqual(['warning', 'note'])
    expect(exitCodeOf(diagnostics)).toBe(0)
    expect(config).not.toBeNull()
  })

  test('a file that is not there is fatal', () => {
    const { diagnostics, config } = parseConf({ file: 'none.conf' }, world())
    expect(diagnostics.map(diagnosticText)).toEqual([
      'FATAL: none.conf(1): Unable to open configuration file: none.conf: ENOENT: no such file or directory\n    at none.conf:1:1',
    ])
    expect(config).toBeNull()
  })

  test('an empty conf has nothing to listen to', () => {
    const { diagnostics } = parseConf({ file: 'x.conf', text: '' }, world())
    expect(diagnostics.map(d => d.severity)).toContain('fatal')
  })

  test('something that is no conf at all is not answered line by line', () => {
    const { diagnostics } = parseConf({ file: 'x.conf', text: 'what is this\n'.repeat(5000) }, world())
    expect(diagnostics.length).toBe(1001)
  })
})
