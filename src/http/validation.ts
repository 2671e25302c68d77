import type { Context } from 'koa';
import type { z } from 'zod';
import { type FieldError, WindlassError } from '../errors.ts';

/** RFC 6901. */
const pointer = (path: readonly PropertyKey[]): string =>
  path.map((step) => `/${String(step).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');

/** One entry for each thing that is wrong; unknown members are named one by one. */
function fieldErrors(error: z.ZodError, prefix = ''): FieldError[] {
  return error.issues.flatMap((issue) =>
    issue.code === 'unrecognized_keys'
      ? issue.keys.map((key) => ({ pointer: `${prefix}${pointer([...issue.path, key])}`, detail: 'is not known here' }))
      : [{ pointer: `${prefix}${pointer(issue.path)}`, detail: issue.message }],
  );
}

/** The validated value, or `invalid_request` with all that is wrong. */
export function validate<S extends z.ZodType>(schema: S, value: unknown, prefix = ''): z.output<S> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const errors = fieldErrors(result.error, prefix);
  throw new WindlassError(
    'invalid_request',
    `${errors.length === 1 ? 'One thing is' : `${errors.length} things are`} wrong with the request: see errors.`,
    { errors },
  );
}

/** `validate` for one schema of fields, most often given none of them: what it makes of that is found out once. */
export function validator<S extends z.ZodType>(schema: S, prefix = ''): (fields: object) => z.output<S> {
  const none = schema.safeParse({});
  if (none.success) Object.freeze(none.data);
  return (fields) => (none.success && Object.keys(fields).length === 0 ? none.data : validate(schema, fields, prefix));
}

/** The query as an object; a parameter given twice is refused, because one of the two would silently be lost. */
export function queryOf(ctx: Context): Record<string, string> {
  const query: Record<string, string> = {};
  if (ctx.querystring === '') return query;
  for (const [name, value] of new URLSearchParams(ctx.querystring)) {
    if (Object.hasOwn(query, name))
      throw new WindlassError('invalid_request', `The parameter ${name} is given more than once.`, {
        errors: [{ pointer: `/query/${name}`, detail: 'is given more than once' }],
      });
    Object.defineProperty(query, name, { value, enumerable: true });
  }
  return query;
}
