import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { extname } from 'node:path';
import type { Context } from 'koa';
import { STRATEGIES, type Strategy } from '../core/upload.ts';
import { ERRORS } from '../errors.ts';
import { methodNotAllowed } from './router.ts';

/** A file of a page, kept in memory: pages are few and small, and must work with no network. */
export interface Asset {
  type: string;
  body: Buffer;
  etag: string;
  policy: string;
}

const TYPES: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.json': 'application/json',
  '.md': 'text/plain; charset=utf-8',
};

/**
 * Nothing from elsewhere, no inline script, no text that becomes markup; what `connect-src` lets through are signed links
 * to a store of another origin, which only the store's settings know.
 */
const CONSOLE_POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self' http: https:; form-action 'none'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";
/** Swagger UI sets styles inline. */
const DOCS_POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'";

const typeOf = (path: string): string => TYPES[extname(path)] ?? 'application/octet-stream';

const asset = (path: string, body: Buffer, policy: string): Asset => ({
  type: typeOf(path),
  body,
  etag: `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`,
  policy,
});

/** A large file that few ask for: read when the first one does. */
function seldomAsked(path: string, policy: string): Asset {
  let read: Asset | null = null;
  const load = (): Asset => {
    read ??= asset(path, readFileSync(path), policy);
    return read;
  };
  return {
    type: typeOf(path),
    policy,
    get body() {
      return load().body;
    },
    get etag() {
      return load().etag;
    },
  };
}

const DOCS_HTML = `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>Windlass API</title><link rel="stylesheet" href="/docs/swagger-ui.css"></head>
<body><main id="ui"></main><script src="/docs/swagger-ui-bundle.js"></script><script src="/docs/start.js"></script></body>
</html>
`;
const DOCS_START = `SwaggerUIBundle({ url: '/openapi.json', dom_id: '#ui', deepLinking: true, validatorUrl: null });\n`;

/** The section that the `type` of each problem points to. */
function errorsHtml(): string {
  const sections = Object.entries(ERRORS).map(
    ([code, { status, title, cause, cure }]) =>
      `<section id="${code}"><h2><code>${code}</code> ${status} ${title}</h2><p>${inCode(cause)}</p><p><b>What to do:</b> ${inCode(cure)}</p></section>`,
  );
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>Windlass errors</title><style>body{font:1rem/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem}:target{outline:2px solid;outline-offset:.5rem}h2{font-size:1rem}</style></head><body><h1>Errors</h1><p>Each problem document (RFC 9457) carries one of these codes.</p>${sections.join('')}</body></html>`;
}

/** The same for programs: what each code means and what to do about it. */
const errorTable = (): object =>
  Object.fromEntries(Object.entries(ERRORS).map(([code, { title, cause, cure }]) => [code, { title, cause, cure }]));

const OFFERED = /(<meta name="windlass-strategies" content=")[^"]*/;

const json = (name: string, value: object): Asset => asset(name, Buffer.from(JSON.stringify(value)), DOCS_POLICY);

const inCode = (text: string): string => text.replaceAll(/`([^`]+)`/g, '<code>$1</code>');

/** The console, the API's page and its document, by path. */
export function loadPages(openApi: object, offered: readonly Strategy[] = STRATEGIES): Map<string, Asset> {
  const ui = createRequire(import.meta.url);
  const swagger = (name: string): Asset => seldomAsked(ui.resolve(`swagger-ui-dist/${name}`), DOCS_POLICY);
  return new Map<string, Asset>([
    ...consoleAssets(offered),
    ...runbooks(),
    ['/docs', asset('docs.html', Buffer.from(DOCS_HTML), DOCS_POLICY)],
    ['/docs/errors', asset('errors.html', Buffer.from(errorsHtml()), DOCS_POLICY)],
    ['/docs/errors.json', json('errors.json', errorTable())],
    ['/docs/start.js', asset('start.js', Buffer.from(DOCS_START), DOCS_POLICY)],
    ['/docs/swagger-ui.css', swagger('swagger-ui.css')],
    ['/docs/swagger-ui-bundle.js', swagger('swagger-ui-bundle.js')],
    ['/openapi.json', json('openapi.json', openApi)],
  ]);
}

/** The console: its page at `/`, which is told what this server offers; every other file of its folder below `/console/`. */
function consoleAssets(offered: readonly Strategy[]): [string, Asset][] {
  const folder = new URL('../console/', import.meta.url);
  return readdirSync(folder).map((name) => {
    const body = readFileSync(new URL(name, folder));
    if (name !== 'index.html') return [`/console/${name}`, asset(name, body, CONSOLE_POLICY)];
    const page = String(body).replace(OFFERED, `$1${offered.join(',')}`);
    return ['/', asset(name, Buffer.from(page), CONSOLE_POLICY)];
  });
}

/** What alerts link to, as text: written to be read so, and by whoever is paged. */
function runbooks(): [string, Asset][] {
  const folder = new URL('../../docs/runbooks/', import.meta.url);
  return readdirSync(folder).map((name) => [`/docs/runbooks/${name}`, asset(name, readFileSync(new URL(name, folder)), DOCS_POLICY)]);
}

export function servePage(ctx: Context, { type, body, etag, policy }: Asset): void {
  ctx.state.route = ctx.path;
  if (ctx.method !== 'GET' && ctx.method !== 'HEAD') throw methodNotAllowed(ctx.method, ['GET', 'HEAD']);
  ctx.set({
    'Content-Security-Policy': policy,
    'X-Content-Type-Options': 'nosniff',
    'Referrer-Policy': 'no-referrer',
    'Cache-Control': 'no-cache',
    ETag: etag,
  });
  ctx.status = 200;
  if (ctx.fresh) {
    ctx.status = 304;
    return;
  }
  ctx.set('Content-Type', type);
  ctx.body = body;
}
