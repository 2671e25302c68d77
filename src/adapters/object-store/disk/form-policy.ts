import { z } from 'zod';
import type { PutTerms } from '../../../ports/presigner.ts';

export type FormFields = Readonly<Record<string, string>>;

/** The conditions of a form, in the manner of S3's POST policies. The server reads only policies that it signed itself. */
const policySchema = z.object({
  expiration: z.string(),
  conditions: z.array(
    z.union([z.tuple([z.literal('eq'), z.string(), z.string()]), z.tuple([z.literal('content-length-range'), z.number(), z.number()])]),
  ),
});

/** The policy for these terms, and the fields that the form must have besides it and the signature. */
export function policyOf({ key, size, contentType, sha256, expiresAt }: PutTerms): { policy: string; fields: Record<string, string> } {
  const fields = { key, 'Content-Type': contentType, ...(sha256 === null ? {} : { sha256 }) };
  const conditions: z.infer<typeof policySchema>['conditions'] = Object.entries(fields).map(([name, value]) => ['eq', `$${name}`, value]);
  conditions.push(['content-length-range', size, size]);
  const text = JSON.stringify({ expiration: new Date(expiresAt).toISOString(), conditions });
  return { policy: Buffer.from(text).toString('base64'), fields };
}

/** The terms that a policy was made from. */
export function termsOfPolicy(policy: string): PutTerms {
  const { expiration, conditions } = policySchema.parse(JSON.parse(Buffer.from(policy, 'base64').toString()));
  const terms: PutTerms = { key: '', size: 0, contentType: '', sha256: null, expiresAt: Date.parse(expiration) };
  for (const condition of conditions) {
    if (condition[0] === 'content-length-range') terms.size = condition[2];
    else if (condition[1] === '$key') terms.key = condition[2];
    else if (condition[1] === '$Content-Type') terms.contentType = condition[2];
    else if (condition[1] === '$sha256') terms.sha256 = condition[2];
  }
  return terms;
}
