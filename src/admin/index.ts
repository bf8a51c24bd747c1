// admin: the manager's pages on the wire.
//
// holds          from a request for a page to its answer: name, method, arguments, password, text or JSON; the control
//                socket, on which our own command line asks; the admin port, on which programs that watch others do
// does not hold  the pages (manager and the rooms), http_access, how a client's request is read (proxy)
// called by      cli, which hands the answering to the http proxy and opens the socket; the command line
// calls          base, http, manager

export { type AdminPort, type AdminPortOpened, openAdminPort } from './admin-port.ts'
export { type AdminAnswer, type AdminRequest, answerPage, managerPath, type PageDoor, refusedAnswer } from './answer.ts'
export { askControlSocket, type ControlAnswer } from './control-client.ts'
export { type ControlOpened, type ControlSocket, openControlSocket } from './control-socket.ts'
