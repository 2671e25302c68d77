import { attempt, type Task } from './task.ts';

/** An intent younger than this is most likely being carried out by the request that made it. Milliseconds. */
const PATIENCE_MS = 60_000;
const PAGE = 100;

/** Finishes the links that a request decided on and a crash kept it from writing. */
export const finishIntents: Task = async (context) => {
  const { parts, now, dryRun } = context;
  for (;;) {
    const page = await parts.resources.unsettled(now - PATIENCE_MS, PAGE);
    context.found('record', page.length);
    if (dryRun || page.length === 0) return;
    let finished = 0;
    for (const resource of page) {
      const { tenant, type, id } = resource;
      const done = await attempt(context, { tenant, resource: `${type}/${id}` }, async () => void (await parts.finishIntent(resource)));
      if (done) finished += 1;
    }
    context.removed('record', finished);
    if (page.length < PAGE || finished === 0) return;
  }
};
