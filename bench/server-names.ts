import { connect } from 'amqplib';
import mongoose from 'mongoose';

/** What the servers of a stack call themselves, with their versions as far as they tell. */
export async function namesOf({ mongodb, rabbitmq, s3 }: { mongodb: string; rabbitmq: string; s3: string }): Promise<string[]> {
  return Promise.all([databaseName(mongodb), brokerName(rabbitmq), storeName(s3)]);
}

/** Others that speak MongoDB's protocol tell its version as theirs, and their own beside it. */
async function databaseName(uri: string): Promise<string> {
  const connection = await mongoose.createConnection(uri).asPromise();
  try {
    const info = (await connection.db?.admin().command({ buildInfo: 1 })) ?? {};
    const { ferretdb, version } = info;
    if (!ferretdb) return `MongoDB ${version}`;
    return ferretdb.version === 'unknown' ? 'FerretDB' : `FerretDB ${ferretdb.version}`;
  } finally {
    await connection.close();
  }
}

async function brokerName(url: string): Promise<string> {
  const connection = await connect(url);
  const { product, version } = connection.connection.serverProperties;
  await connection.close();
  return `${product} ${version}`;
}

async function storeName(endpoint: string): Promise<string> {
  const answer = await fetch(endpoint);
  await answer.arrayBuffer();
  return answer.headers.get('Server') ?? 'an S3 server that does not tell its name';
}
