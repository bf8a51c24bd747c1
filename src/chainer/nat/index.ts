// NAT policies: which addresses a server side connection has, after the router and before the connect.

export { applyNat, type NatAnswer, type NatPolicies, noNat } from './apply.ts'
export { CompiledNat, compileNat, type NatKind, natKinds, type NatLine, type NatOptions } from './compile.ts'
export type { NatPolicy, NatUse } from './policy.ts'
