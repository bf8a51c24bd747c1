// What availability chainers ask: each target of the directed router of each service that goes by one, be it behind a
// proxy at its side.

import { expect, it } from 'vitest'
import type { Comm } from '../../comm/index.ts'
import { endpointText } from '../../src/base/index.ts'
import { watchesOf } from '../../src/cli/chainers.ts'
import { parseConf, systemWorld } from '../../src/conf/index.ts'
import { FakeClock } from '../support/fake-clock.ts'

it('is the targets of directed routers, also behind a side stack', () => {
  const text = `http_port 3128
router two directed 192.0.2.1:25 192.0.2.2:25
router one directed 192.0.2.3:80
chainer up availability check=tcp interval=5s
chainer aside side_stack right=plug right_chainer=UP
chainer plain failover
service mail plug router=two chainer=aside
service web plug router=ONE chainer=up
service other plug router=two chainer=plain
`
  const { config } = parseConf({ file: 'test.conf', text }, systemWorld())
  const watches = watchesOf(config ?? expect.fail('the conf is refused'), { comm: {} as Comm, clock: new FakeClock() })
  expect(watches.map(({ chainer, target }) => `${chainer} ${endpointText(target)}`)).toEqual(['up 192.0.2.1:25', 'up 192.0.2.2:25', 'up 192.0.2.3:80'])
})
