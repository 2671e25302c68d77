import { CreateBucketCommand, HeadBucketCommand } from '@aws-sdk/client-s3';
import type { ProvisionStep } from '../../../ports/provision.ts';
import type { S3Connection } from './connection.ts';
import { within } from './deadline.ts';
import { ABSENT_PERHAPS, nullIf, refusalOf, refused } from './failure.ts';
import { provisionCors } from './provision-cors.ts';
import { provisionLifecycle } from './provision-lifecycle.ts';

export interface ProvisionTerms {
  /** Origins whose pages may use signed links: `https://app.example.com` or `*`. */
  origins: readonly string[];
  /** Age at which the store removes the parts of multipart uploads that nobody has completed. Longer than an upload may stay incomplete. */
  abandonedDays: number;
}

/** Bucket, CORS and lifecycle rules; what others have set there stays. */
export async function provision(connection: S3Connection, { origins, abandonedDays }: ProvisionTerms): Promise<ProvisionStep[]> {
  try {
    return [
      await provisionBucket(connection),
      await provisionCors(connection, origins),
      await provisionLifecycle(connection, abandonedDays),
    ];
  } catch (error) {
    throw refused(error);
  }
}

async function provisionBucket(connection: S3Connection): Promise<ProvisionStep> {
  const { client, bucket, timeouts } = connection;
  const step = (outcome: ProvisionStep['outcome']): ProvisionStep => ({ subject: 'bucket', outcome, detail: bucket });
  if (await isThere(connection)) return step('unchanged');
  const region = await client.config.region();
  // us-east-1 has no name of its own here.
  const place = region === 'us-east-1' ? {} : { CreateBucketConfiguration: { LocationConstraint: region as 'eu-west-1' } };
  const command = new CreateBucketCommand({ Bucket: bucket, ...place });
  try {
    await within(timeouts.answerMs, (abortSignal) => client.send(command, { abortSignal }));
    return step('made');
  } catch (error) {
    // Another process was faster; a bucket of somebody else's is refused by the look at it.
    if (refusalOf(error)?.status === 409 && (await isThere(connection))) return step('unchanged');
    throw error;
  }
}

async function isThere({ client, bucket, timeouts }: S3Connection): Promise<boolean> {
  const command = new HeadBucketCommand({ Bucket: bucket });
  const absent = ['NoSuchBucket', ...ABSENT_PERHAPS];
  return (await nullIf(absent, () => within(timeouts.answerMs, (abortSignal) => client.send(command, { abortSignal })))) !== null;
}
