import { addressFromBytes, type Family } from '../../src/base/index.ts'
import { eachAttribute } from '../netlink.ts'
import type { InterfaceTable } from './table.ts'

// What rtnetlink says of links and addresses (linux/if_link.h, linux/if_addr.h), put into the table.
//
//   ifinfomsg  family u8 | pad u8 | type u16 | index i32 | flags u32 | change u32
//   ifaddrmsg  family u8 | prefix length u8 | flags u8 | scope u8 | index u32

export const rtm = { newLink: 16, delLink: 17, getLink: 18, newAddress: 20, delAddress: 21, getAddress: 22, newRoute: 24, getRoute: 26 } as const

/** RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR. */
export const interfaceGroups = 0x1 | 0x10 | 0x100

export const linkRequest = (): Buffer => Buffer.alloc(16)
export const addressRequest = (): Buffer => Buffer.alloc(8)

const linkAttribute = { name: 3, group: 27 } as const
const addressAttribute = { address: 1, local: 2, flags: 8 } as const
const interfaceUp = 1
const scopeLink = 253
/** Not one's own yet, or found to be somebody else's (IFA_F_TENTATIVE, IFA_F_DADFAILED; not while IFA_F_OPTIMISTIC). */
const tentative = 0x40
const dadFailed = 0x08
const optimistic = 0x04
const families: Readonly<Record<number, Family>> = { 2: 4, 10: 6 }

/** True: something is otherwise than before. */
export const takeIn = (table: InterfaceTable, type: number, body: Buffer, start: number, end: number): boolean => {
  switch (type) {
    case rtm.newLink:
      return takeLink(table, body, start, end)
    case rtm.delLink:
      // a bridge says so of a port that leaves it (family AF_BRIDGE): the interface stays
      return body.readUInt8(start) === 0 && table.removeLink(body.readInt32LE(start + 4))
    case rtm.newAddress:
    case rtm.delAddress:
      return takeAddress(table, type, body, start, end)
    default:
      return false
  }
}

const takeLink = (table: InterfaceTable, body: Buffer, start: number, end: number): boolean => {
  if (body.readUInt8(start) !== 0) return false
  let name = ''
  let group = 0
  eachAttribute(body, start + 16, end, (type, from, to) => {
    if (type === linkAttribute.name) name = body.toString('latin1', from, to).replace(/\0.*$/s, '')
    else if (type === linkAttribute.group) group = body.readUInt32LE(from)
  })
  const up = (body.readUInt32LE(start + 8) & interfaceUp) !== 0
  return name !== '' && table.setLink({ index: body.readInt32LE(start + 4), name, group, up })
}

const takeAddress = (table: InterfaceTable, type: number, body: Buffer, start: number, end: number): boolean => {
  const family = families[body.readUInt8(start)]
  if (family === undefined) return false
  let flags = body.readUInt8(start + 2)
  let address = ''
  let local = ''
  eachAttribute(body, start + 8, end, (kind, from, to) => {
    if (kind === addressAttribute.flags) flags = body.readUInt32LE(from)
    else if (to - from !== (family === 4 ? 4 : 16)) return
    else if (kind === addressAttribute.address) address = addressFromBytes(body, from, family)
    else if (kind === addressAttribute.local) local = addressFromBytes(body, from, family)
  })
  // of a point-to-point link `address` is the other end's
  const ours = local === '' ? address : local
  const index = body.readUInt32LE(start + 4)
  if (ours === '') return false
  const usable = (flags & dadFailed) === 0 && ((flags & tentative) === 0 || (flags & optimistic) !== 0)
  if (type === rtm.delAddress || !usable) return table.removeAddress(index, ours)
  return table.setAddress(index, { family, address: ours, linkLocal: family === 6 && body.readUInt8(start + 3) === scopeLink })
}
