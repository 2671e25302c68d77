import { expect, test } from '@jest/globals';
import { eventually } from '../support/eventually.ts';
import { head, RawConnection } from '../support/raw-http.ts';
import { useServer } from '../support/suite.ts';

const suite = useServer();
const linesOf = (requestId: string) => suite.server.log().filter((line) => line.requestId === requestId);

test('an upload can be followed by one id: a line for the request, and one for each change of state', async () => {
  const { body } = await suite.api.raw('relay', 'x', { headers: { 'X-Request-Id': 'followed' } });
  await suite.api.settled(body.id);
  await eventually(() => {
    const lines = linesOf('followed');
    expect(lines.filter(({ msg }) => msg === 'request')).toEqual([
      expect.objectContaining({
        level: 'info',
        uploadId: body.id,
        method: 'POST',
        route: '/v1/uploads/relay',
        status: 202,
        tenant: 'default',
      }),
    ]);
    expect(lines.filter(({ msg }) => msg === 'upload changed state').map(({ from, state }) => [from, state])).toEqual([
      [undefined, 'queued'],
      ['queued', 'relaying'],
      ['relaying', 'stored'],
    ]);
  });
});

test('a client that goes away is no error, and no warning either', async () => {
  const connection = new RawConnection(suite.server.port);
  const headers = { 'Content-Type': 'text/plain', 'Content-Length': 5_000_000, 'X-Request-Id': 'went-away' };
  await connection.write(head(suite.server.port, 'POST', '/v1/uploads/direct', headers));
  await connection.write(Buffer.alloc(100_000));
  await eventually(async () =>
    expect(await (await fetch(`${suite.server.opsUrl}/metrics`)).text()).toMatch(/uploads_in_flight\{strategy="direct"\} 1/),
  );
  connection.close();
  await eventually(() =>
    expect(linesOf('went-away')).toEqual([expect.objectContaining({ msg: 'request', level: 'info', code: 'aborted', aborted: true })]),
  );
});
