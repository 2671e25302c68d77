import { openDiskStore } from '../support/disk-store-server.ts';
import { describePresigner } from './presigner.ts';

describePresigner('disk', () => openDiskStore());
