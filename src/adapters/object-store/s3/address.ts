import type { S3Client } from '@aws-sdk/client-s3';

/** Where a bucket is, as links name it. */
export interface BucketAddress {
  protocol: string;
  hostname: string;
  /** Undefined for the protocol's own. */
  port?: number;
  /** Path of the bucket without a slash at its end: empty where the host name has the bucket. */
  path: string;
}

/** By the SDK's own rules (regions, partitions, styles), but once and not for each link. */
export async function addressOf({ config }: S3Client, bucket: string): Promise<BucketAddress> {
  const endpoint = config.endpoint && (await config.endpoint());
  const { url } = config.endpointProvider({
    Bucket: bucket,
    Region: await config.region(),
    ForcePathStyle: config.forcePathStyle,
    UseFIPS: await config.useFipsEndpoint(),
    UseDualStack: await config.useDualstackEndpoint(),
    ...(endpoint ? { Endpoint: urlOf(endpoint) } : {}),
  });
  const { protocol, hostname, port, pathname } = url;
  return { protocol, hostname, path: pathname.replace(/\/+$/, ''), ...(port ? { port: Number(port) } : {}) };
}

const urlOf = ({ protocol, hostname, port, path }: { protocol: string; hostname: string; port?: number; path: string }): string =>
  `${protocol}//${hostname}${port === undefined ? '' : `:${port}`}${path}`;

/** RFC 3986, as signatures have it. */
export const escaped = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`);
