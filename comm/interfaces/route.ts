import type { Addon } from '../../native/index.ts'
import { addressToBytes } from '../../src/base/index.ts'
import { attribute, eachAttribute, NetlinkSocket, protocols } from '../netlink.ts'
import { rtm } from './rtnetlink.ts'

// Which interface leads to an address: the kernel's own route look-up (linux/rtnetlink.h), one question and one answer.
//
//   rtmsg  family u8 | destination length u8 | source length u8 | tos u8 | table u8 | protocol u8 | scope u8 | type u8 | flags u32

const routeMessageBytes = 12
const routeAttribute = { destination: 1, outgoing: 4 } as const

export class RouteQuestions {
  readonly #addon: Addon
  #socket: NetlinkSocket | null = null

  constructor(addon: Addon) {
    this.#addon = addon
  }

  /** 0: there is no way. */
  interfaceTo(address: string): number {
    this.#socket ??= new NetlinkSocket(this.#addon, protocols.route, 0)
    const bytes = Buffer.alloc(16)
    const family = addressToBytes(address, bytes, 0)
    const head = Buffer.alloc(routeMessageBytes)
    head.writeUInt8(family === 4 ? 2 : 10, 0)
    head.writeUInt8(family === 4 ? 32 : 128, 1)
    const question = Buffer.concat([head, attribute(routeAttribute.destination, bytes.subarray(0, family === 4 ? 4 : 16))])
    let index = 0
    const errno = this.#socket.ask(rtm.getRoute, 0, question, (type, body, start, end) => {
      if (type !== rtm.newRoute) return
      eachAttribute(body, start + routeMessageBytes, end, (kind, from) => {
        if (kind === routeAttribute.outgoing) index = body.readUInt32LE(from)
      })
    })
    return errno === 0 ? index : 0
  }

  close(): void {
    this.#socket?.close()
    this.#socket = null
  }
}
