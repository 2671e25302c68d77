import { expect, test } from '@jest/globals';
import { ApiClient } from '../support/api-client.ts';
import { eventually } from '../support/eventually.ts';
import { RandomFile } from '../support/random-file.ts';
import { head, RawConnection } from '../support/raw-http.ts';
import { startStack } from '../support/stack.ts';
import { withServers } from './with-servers.ts';

withServers((servers) => {
  test('a server that is stopped takes nothing new, finishes what it was at, and ends when workers have fetched its spool', async () => {
    const settings = { SHUTDOWN_GRACE_SECONDS: '600', SHUTDOWN_HANDOVER_SECONDS: '600' };
    await using stack = await startStack(servers, { apis: 2, workers: 0, settings });
    const [leaving, staying] = stack.apis as [(typeof stack.apis)[0], (typeof stack.apis)[0]];
    const api = new ApiClient(leaving.url);
    const there = new ApiClient(staying.url);
    const kept = await api.raw('direct', 'kept on its disk');
    const spooled = await api.raw('relay', 'in its spool');
    const file = new RandomFile(200_000, 'slow');
    const slow = new RawConnection(leaving.port);
    await slow.write(
      head(leaving.port, 'POST', '/v1/uploads/relay', { 'Content-Type': 'application/octet-stream', 'Content-Length': file.size }),
    );
    await slow.write(await file.bytes(0, 100_000));

    leaving.beginStop();
    await eventually(async () => {
      const { status, body, headers } = await api.raw('direct', 'too late');
      expect([status, body.code, headers.get('connection')]).toEqual([503, 'draining', 'close']);
    });
    // Its files are there for others all the time.
    expect(await there.content(kept.body.id)).toBe('kept on its disk');
    await slow.write(await file.bytes(100_000));
    const answer = await slow.answer();
    expect(answer.status).toBe(202);
    slow.close();
    await eventually(() => expect(leaving.output).toContain('waiting until workers have fetched'));
    expect(await there.content(kept.body.id)).toBe('kept on its disk');

    await stack.startWorker();
    expect(await leaving.exited).toEqual({ code: 0, signal: null });
    for (const id of [spooled.body.id, JSON.parse(answer.body).id as string])
      expect(await there.settled(id)).toMatchObject({ state: 'stored', attempts: 1 });
    expect(await there.contentDigest(JSON.parse(answer.body).id)).toEqual({ status: 200, sha256: await file.sha256(), size: file.size });
  }, 120_000);
});
