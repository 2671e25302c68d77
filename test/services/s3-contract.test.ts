import { describeObjectStore } from '../contract/object-store.ts';
import { describePresigner } from '../contract/presigner.ts';
import { BufferingProxy } from '../support/s3-buffering-proxy.ts';
import { openS3Store } from '../support/s3-store.ts';
import { withServers } from './with-servers.ts';

withServers(({ s3 }) => {
  describeObjectStore('S3', () => openS3Store(s3, 'windlass-contract'));

  describePresigner('S3', async () => {
    const proxy = await BufferingProxy.to(s3.endpoint);
    const opened = await openS3Store(s3, 'windlass-links', { connection: { publicEndpoint: proxy.url } });
    const close = async (): Promise<void> => {
      await opened.close();
      proxy.close();
    };
    return { ...opened, close };
  });
});
