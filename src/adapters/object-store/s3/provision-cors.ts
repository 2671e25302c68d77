import { type CORSRule, GetBucketCorsCommand, PutBucketCorsCommand } from '@aws-sdk/client-s3';
import type { ProvisionStep } from '../../../ports/provision.ts';
import type { S3Connection } from './connection.ts';
import { within } from './deadline.ts';
import { nullIf, refusalOf } from './failure.ts';

const ID = 'windlass';
const NONE = ['NoSuchCORSConfiguration'];
const INSTEAD = 'set CORS on the server itself (MinIO: MINIO_API_CORS_ALLOW_ORIGIN)';

/** Lets pages of these origins use signed links, and read the ETags of parts. */
export async function provisionCors(connection: S3Connection, origins: readonly string[]): Promise<ProvisionStep> {
  const step = (outcome: ProvisionStep['outcome'], detail: string): ProvisionStep => ({ subject: 'CORS', outcome, detail });
  if (origins.length === 0) return step('unchanged', 'no origins are given, so no page of another site may use signed links');
  const rule = ruleFor(origins);
  try {
    const before = await rulesOf(connection);
    if (before.some((one) => same(one, rule))) return step('unchanged', origins.join(', '));
    await write(connection, [...before.filter((one) => one.ID !== ID), rule]);
    const taken = (await rulesOf(connection)).some((one) => same(one, rule));
    return taken ? step('made', origins.join(', ')) : step('unsupported', `this server keeps no CORS rules for a bucket: ${INSTEAD}`);
  } catch (error) {
    if (!isUnsupported(error)) throw error;
    return step('unsupported', `this server has no CORS rules for a bucket: ${INSTEAD}`);
  }
}

/** Not the refusal of this caller or of this moment, but of the request as such. */
export function isUnsupported(error: unknown): boolean {
  const { status = 0, code = '' } = refusalOf(error) ?? {};
  return status === 501 || status === 405 || code === 'NotImplemented' || code === 'MethodNotAllowed';
}

const ruleFor = (origins: readonly string[]): CORSRule => ({
  ID,
  AllowedOrigins: [...origins],
  AllowedMethods: ['GET', 'HEAD', 'PUT', 'POST'],
  AllowedHeaders: ['*'],
  ExposeHeaders: ['ETag', 'Accept-Ranges', 'Content-Disposition', 'Content-Range', 'x-amz-checksum-sha256'],
  MaxAgeSeconds: 3600,
});

async function rulesOf({ client, bucket, timeouts }: S3Connection): Promise<CORSRule[]> {
  const command = new GetBucketCorsCommand({ Bucket: bucket });
  const output = await nullIf(NONE, () => within(timeouts.answerMs, (abortSignal) => client.send(command, { abortSignal })));
  return output?.CORSRules ?? [];
}

async function write({ client, bucket, timeouts }: S3Connection, CORSRules: CORSRule[]): Promise<void> {
  const command = new PutBucketCorsCommand({ Bucket: bucket, CORSConfiguration: { CORSRules } });
  await within(timeouts.answerMs, (abortSignal) => client.send(command, { abortSignal }));
}

/** Servers give lists back in another order, and header names in another case. */
const same = (one: CORSRule, other: CORSRule): boolean => one.ID === other.ID && normal(one) === normal(other);
const normal = ({ AllowedOrigins, AllowedMethods, AllowedHeaders, ExposeHeaders, MaxAgeSeconds }: CORSRule): string => {
  const lists = [AllowedOrigins, AllowedMethods, AllowedHeaders, ExposeHeaders];
  return JSON.stringify([...lists.map((list) => (list ?? []).map((text) => text.toLowerCase()).sort()), MaxAgeSeconds]);
};
