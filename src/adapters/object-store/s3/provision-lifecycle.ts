import { GetBucketLifecycleConfigurationCommand, type LifecycleRule, PutBucketLifecycleConfigurationCommand } from '@aws-sdk/client-s3';
import type { ProvisionStep } from '../../../ports/provision.ts';
import type { S3Connection } from './connection.ts';
import { within } from './deadline.ts';
import { nullIf, refusalOf } from './failure.ts';
import { isUnsupported } from './provision-cors.ts';

const NONE = ['NoSuchLifecycleConfiguration'];
/** Clients' uploads, and the server's own of large files. */
const AREAS = ['staging', 'files'] as const;
const SUBJECT = 'lifecycle';
const INSTEAD = 'the reconciler removes abandoned multipart uploads by itself';

/** Has the store remove parts that nobody has put together: the reconciler does it too, but only while one runs. */
export async function provisionLifecycle(connection: S3Connection, days: number): Promise<ProvisionStep> {
  const step = (outcome: ProvisionStep['outcome'], detail: string): ProvisionStep => ({ subject: SUBJECT, outcome, detail });
  const rules = AREAS.map((area) => ruleFor(area, days));
  const detail = `parts of abandoned uploads are removed after ${days} days`;
  try {
    const before = await rulesOf(connection);
    if (hasAll(before, rules)) return step('unchanged', detail);
    const others = before.filter(({ ID }) => !rules.some((rule) => rule.ID === ID));
    await write(connection, [...others, ...rules]);
    if (hasAll(await rulesOf(connection), rules)) return step('made', detail);
    await restore(connection, before);
    return step('unsupported', `this server takes the rule but does not keep it: ${INSTEAD}`);
  } catch (error) {
    // Servers that do not know this action find the rule malformed, as it has no other.
    if (!isUnsupported(error) && refusalOf(error)?.status !== 400) throw error;
    return step('unsupported', `this server has no such rules (${refusalOf(error)?.code}): ${INSTEAD}`);
  }
}

const ruleFor = (area: string, days: number): LifecycleRule => ({
  ID: `windlass-abandoned-${area}`,
  Status: 'Enabled',
  Filter: { Prefix: `${area}/` },
  AbortIncompleteMultipartUpload: { DaysAfterInitiation: days },
});

const hasAll = (rules: readonly LifecycleRule[], wanted: readonly LifecycleRule[]): boolean =>
  wanted.every(({ ID, AbortIncompleteMultipartUpload }) =>
    rules.some(
      (rule) =>
        rule.ID === ID &&
        rule.Status === 'Enabled' &&
        rule.AbortIncompleteMultipartUpload?.DaysAfterInitiation === AbortIncompleteMultipartUpload?.DaysAfterInitiation,
    ),
  );

async function rulesOf({ client, bucket, timeouts }: S3Connection): Promise<LifecycleRule[]> {
  const command = new GetBucketLifecycleConfigurationCommand({ Bucket: bucket });
  const output = await nullIf(NONE, () => within(timeouts.answerMs, (abortSignal) => client.send(command, { abortSignal })));
  return output?.Rules ?? [];
}

async function write({ client, bucket, timeouts }: S3Connection, Rules: LifecycleRule[]): Promise<void> {
  const command = new PutBucketLifecycleConfigurationCommand({ Bucket: bucket, LifecycleConfiguration: { Rules } });
  await within(timeouts.answerMs, (abortSignal) => client.send(command, { abortSignal }));
}

/** Rules without an action are of no use, and some servers refuse every later change because of them. */
const restore = (connection: S3Connection, before: LifecycleRule[]): Promise<void> =>
  before.length > 0 ? write(connection, before) : Promise.resolve();
