import { expect, test } from '@jest/globals';
import { eventually } from '../support/eventually.ts';
import { useServer } from '../support/suite.ts';

const suite = useServer();
const linesOf = (requestId: string) => suite.server.log().filter((line) => line.requestId === requestId);

const put = (body: string): Promise<Response> => fetch(`${suite.server.opsUrl}/log-level`, { method: 'PUT', body });
const read = async (): Promise<string> => (await (await fetch(`${suite.server.opsUrl}/log-level`)).text()).trim();

test('is changed while the server runs, and the log says so', async () => {
  expect(await read()).toBe('info');
  expect((await put('warn\n')).status).toBe(200);
  await suite.api.get('/v1/uploads', { 'X-Request-Id': 'unseen' });
  expect((await put('debug')).status).toBe(200);
  const { body } = await suite.api.raw('relay', 'x', { headers: { 'X-Request-Id': 'seen' } });
  await suite.api.settled(body.id);
  await eventually(() => expect(linesOf('seen').some(({ level, msg }) => level === 'debug' && msg === 'job settled')).toBe(true));
  expect(linesOf('unseen')).toEqual([]);
  expect(
    suite.server
      .log()
      .filter(({ msg }) => msg === 'log level changed')
      .map(({ before, after }) => [before, after]),
  ).toEqual([
    ['info', 'warn'],
    ['warn', 'debug'],
  ]);
  await put('info');
});

test.each(['', 'loud', 'x'.repeat(100_000), '{"level":"debug"}'])('stays as it is when the body names none (%#)', async (body) => {
  const answer = await put(body).catch(() => null);
  if (answer) expect(answer.status).toBe(400);
  expect(await read()).toBe('info');
});

test('cannot be reached by the public port, nor by other methods', async () => {
  expect((await suite.api.send('PUT', '/log-level', { body: 'debug' })).status).toBe(404);
  expect((await fetch(`${suite.server.opsUrl}/log-level`, { method: 'POST', body: 'debug' })).status).toBe(405);
  expect(await read()).toBe('info');
});
