import { type ClientRequest, Agent as HttpAgent, type IncomingMessage, request as requestByHttp } from 'node:http';
import { Agent as HttpsAgent, request as requestByHttps } from 'node:https';
import { codeOf, WindlassError } from '../../errors.ts';
import { signRequest } from './signature.ts';

/** Another server, as requests are sent to it. */
export interface Peer {
  node: string;
  /** Where the server is right now, without a slash at the end; throws `node_unavailable` when nobody knows. */
  address: () => Promise<string>;
  /** Shared by all servers and workers. */
  secret: string;
  /** Epoch ms. */
  clock: () => number;
  agents: Agents;
  /** How long the head of an answer, and then each piece of its body, may be waited for. Milliseconds. */
  patienceMs?: number;
}

/** Connections to other servers, kept open for the next request. */
export interface Agents {
  readonly http: HttpAgent;
  readonly https: HttpsAgent;
}

const PATIENCE_MS = 5000;
const RETRY_AFTER_SECONDS = 5;
/** More than all jobs of a worker and all requests of a server need at once: none should wait for the end of another. */
const MAX_SOCKETS = 1024;
const MAX_IDLE_SOCKETS = 8;

export function openAgents(): Agents {
  // The timeout ends idle connections; it is shorter than that of the server, which else could close one as it is taken.
  const options = { keepAlive: true, maxSockets: MAX_SOCKETS, maxFreeSockets: MAX_IDLE_SOCKETS, timeout: PATIENCE_MS };
  return { http: new HttpAgent(options), https: new HttpsAgent(options) };
}

export function closeAgents({ http, https }: Agents): void {
  http.destroy();
  https.destroy();
}

export const patienceOf = ({ patienceMs = PATIENCE_MS }: Peer): number => patienceMs;

/** Sends a signed request; the answer's body is still to be read. Throws `node_unavailable` when none comes. */
export async function ask(peer: Peer, method: string, path: string, headers: Record<string, string> = {}): Promise<IncomingMessage> {
  const url = new URL(`${await peer.address()}${path}`);
  const authorization = signRequest(peer.secret, { node: peer.node, method, path }, peer.clock());
  try {
    return await send(peer, method, url, { ...headers, Authorization: authorization });
  } catch (error) {
    throw unavailable(peer, error);
  }
}

/** A request whose body is asked for, or the answer of a server that does not want it. */
interface Begun {
  request: ClientRequest;
  authorization: string;
  answer: IncomingMessage | null;
}

/** Begins a signed PUT; its body is still to be sent. Throws `node_unavailable` when the server does not answer. */
export async function begin(peer: Peer, path: string, headers: Record<string, string>): Promise<Begun> {
  const url = new URL(`${await peer.address()}${path}`);
  const authorization = signRequest(peer.secret, { node: peer.node, method: 'PUT', path }, peer.clock());
  try {
    return { authorization, ...(await beginOnce(peer, url, { ...headers, Authorization: authorization })) };
  } catch (error) {
    throw unavailable(peer, error);
  }
}

function beginOnce(peer: Peer, url: URL, headers: Record<string, string>): Promise<Omit<Begun, 'authorization'>> {
  const patience = patienceOf(peer);
  return new Promise((resolve, reject) => {
    const request = open(peer, 'PUT', url, headers);
    const timer = setTimeout(() => request.destroy(new Error(`no answer within ${patience} ms`)), patience);
    const settled = (answer: IncomingMessage | null): void => {
      clearTimeout(timer);
      request.off('continue', asked).off('response', settled).off('error', failed);
      // Whoever takes the request over listens for its errors; until then none must go unheard.
      request.on('error', () => undefined);
      resolve({ request, answer });
    };
    const asked = (): void => settled(null);
    const failed = (error: Error): void => {
      clearTimeout(timer);
      if (wasStale(request, error)) beginOnce(peer, url, headers).then(resolve, reject);
      else reject(error);
    };
    request.on('continue', asked).on('response', settled).on('error', failed);
    request.flushHeaders();
  });
}

function open({ agents }: Peer, method: string, url: URL, headers: Record<string, string>): ClientRequest {
  const secure = url.protocol === 'https:';
  const options = { method, headers, agent: secure ? agents.https : agents.http };
  return secure ? requestByHttps(url, options) : requestByHttp(url, options);
}

/** A connection that was kept, but not by the other side: the request was not read. */
const wasStale = (request: ClientRequest, error: Error): boolean => request.reusedSocket && codeOf(error) === 'ECONNRESET';

function send(peer: Peer, method: string, url: URL, headers: Record<string, string>): Promise<IncomingMessage> {
  const patience = patienceOf(peer);
  return new Promise((resolve, reject) => {
    const sending = open(peer, method, url, headers);
    const timer = setTimeout(() => sending.destroy(new Error(`no answer within ${patience} ms`)), patience);
    sending.on('response', (answer) => {
      clearTimeout(timer);
      resolve(answer);
    });
    sending.on('error', (error) => {
      clearTimeout(timer);
      if (wasStale(sending, error)) send(peer, method, url, headers).then(resolve, reject);
      else reject(error);
    });
    sending.end();
  });
}

/** An answer that was not expected. Its body is not waited for. */
export function refused(peer: Peer, answer: IncomingMessage): WindlassError {
  answer.destroy();
  return unavailable(peer, new Error(`it answered ${answer.statusCode}`));
}

export function unavailable({ node }: Peer, cause: unknown): WindlassError {
  return new WindlassError('node_unavailable', `The server ${node}, which keeps the file, cannot be reached or refuses.`, {
    cause,
    retryAfter: RETRY_AFTER_SECONDS,
  });
}
