// Lines that cannot listen beside each other are told by whoever reads a conf, not only by whoever opens its ports.

import { expect, it } from 'vitest'
import { examined } from '../../src/cli/load-conf.ts'
import { parseConf, systemWorld } from '../../src/conf/index.ts'

const found = (text: string): string[] =>
  examined(parseConf({ file: 'x', text: `http_access deny all\nservice a plug\nservice b plug\n${text}` }, systemWorld())).found
    .filter(({ severity }) => severity === 'fatal' || severity === 'error')
    .map(({ at, message }) => `${at.line} ${message.replace(/ \(x\(\d+\) and x\(\d+\)\)/, '')}`)

it.each([
  ['listener 3130 tproxy service=a\nlistener 3130 direct service=b priority=50', ['5 [::]:3130 is one socket for two listeners, and they want another way of being taken (intercept, tproxy, direct)']],
  ['listener 3130 service=a\nlistener 3130 service=b', ['5 [::]:3130 is listened on twice; with another priority= one is asked after the other']],
  ['listener 3130 service=a\nlistener 3130 service=b priority=5 backlog=5', ['5 [::]:3130 is one socket for two listeners, and they want another backlog']],
  ['receiver 3130 service=a\nreceiver 127.0.0.1:3130 service=b', ['5 127.0.0.1:3130 and [::]:3130 are the same port of the same addresses: the kernel gives it to one socket']],
  ['http_port 3128\nlistener 3120-3130 service=b', ['5 [::]:3128 is listened on twice; with another priority= one is asked after the other']],
  ['http_port 3128\nhttp_port 3128', ['5 port 3128 is already listened to by line 4']],
])('%s', (text, wanted) => expect(found(text)).toEqual(wanted))

it.each([
  'listener 3130 service=a\nlistener 3130 service=b priority=5',
  'listener 3130 service=a\nreceiver 3130 service=b',
  'listener 127.0.0.1:3130 service=a\nlistener 127.0.0.2:3130 tproxy service=b',
  'listener iface:lo:3130 service=a\nlistener 127.0.0.1:3130 tproxy service=b',
])('nothing is the matter with %s', text => expect(found(text)).toEqual([]))
