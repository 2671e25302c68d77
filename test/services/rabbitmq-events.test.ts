import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { type ConsumeMessage, connect } from 'amqplib';
import { v7 } from 'uuid';
import { openRabbit, type Rabbit } from '../../src/adapters/rabbitmq/rabbit.ts';
import { RabbitUploadEvents } from '../../src/adapters/upload-events/rabbitmq.ts';
import { fromCloudEvent, toCloudEvent } from '../../src/adapters/upload-events/rabbitmq-cloud-event.ts';
import { STATES, type UploadState, type UploadView, viewOf } from '../../src/core/upload.ts';
import type { UploadEvent } from '../../src/ports/upload-events.ts';
import { eventually } from '../support/eventually.ts';
import { newPrefix, removePrefix, silent } from '../support/rabbit.ts';
import { TcpProxy } from '../support/tcp-proxy.ts';
import { uploadRecord } from '../support/upload-record.ts';
import { withServers } from './with-servers.ts';

const PUBLIC_URL = 'https://uploads.example.com';
const NOW = Date.UTC(2026, 10, 5, 12, 0, 0, 7);

function eventOf(state: UploadState, fields: Partial<UploadView> = {}): UploadEvent {
  const upload = { ...viewOf(uploadRecord({ filename: `'"\\ 🐈‍⬛.jpg`, metadata: { k: 'ü' } }, NOW)), state, version: 7, ...fields };
  return { id: v7(), type: `upload.${state}`, at: NOW + 1, upload };
}

const STORED: Partial<UploadView> = {
  location: { store: 's3', bucket: 'uploads', key: 'files/acme/7f/x', node: null },
  resource: { type: 'post', id: '42' },
  sha256: 'ab'.repeat(32),
  storedAt: NOW,
  history: [
    { state: 'queued', at: NOW - 10 },
    { state: 'stored', at: NOW },
  ],
};

describe('an event as a CloudEvent', () => {
  test.each(STATES)('of an upload that is %s comes back as it was', (state) => {
    const error = state === 'failed' ? { code: 'bytes_missing', detail: 'gone' } : null;
    const event = eventOf(state, { ...(state === 'stored' ? STORED : {}), error, expiresAt: state === 'pending' ? NOW : null });
    expect(fromCloudEvent(Buffer.from(JSON.stringify(toCloudEvent(event, PUBLIC_URL))))).toEqual(event);
  });

  test('has the address of the content, which may be that of a CDN', () => {
    const event = eventOf('stored', STORED);
    const { source, data } = toCloudEvent(event, PUBLIC_URL, 'https://cdn.example.com');
    expect([source, data.url]).toEqual([PUBLIC_URL, `https://cdn.example.com/v1/uploads/${event.upload.id}/content`]);
  });

  test('may have members that only a later version knows, anywhere', () => {
    const event = eventOf('stored', STORED);
    const cloudEvent = toCloudEvent(event, PUBLIC_URL);
    const later = { ...cloudEvent, shade: 1, data: { ...cloudEvent.data, colour: 'green', location: { ...STORED.location, region: 'x' } } };
    expect(fromCloudEvent(Buffer.from(JSON.stringify(later)))).toEqual(event);
  });

  test.each([
    '',
    'null',
    '{"specversion":"1.0"}',
    JSON.stringify({ ...toCloudEvent(eventOf('stored'), PUBLIC_URL), type: 'upload.eaten' }),
  ])('is not read out of something else (%#)', (text) => expect(fromCloudEvent(Buffer.from(text))).toBeNull());
});

withServers((servers) => {
  const server = { url: servers.rabbitmqUrl, managementUrl: servers.rabbitmqManagementUrl };

  describe('events through RabbitMQ', () => {
    let prefix: string;
    let proxy: TcpProxy;
    let opened: { rabbit: Rabbit; events: RabbitUploadEvents }[];
    beforeEach(async () => {
      prefix = newPrefix();
      opened = [];
      proxy = await TcpProxy.open(server.url);
    });
    afterEach(async () => {
      proxy.mend();
      for (const { rabbit, events } of opened) {
        await events.close();
        await rabbit.close();
      }
      await proxy.close();
      await removePrefix(server, prefix);
    });

    /** A process of its own, with what its listener heard. */
    const open = async (url = server.url) => {
      const rabbit = await openRabbit({ url, log: silent });
      const events = await RabbitUploadEvents.open({ rabbit, log: silent, publicUrl: PUBLIC_URL, prefix });
      opened.push({ rabbit, events });
      const heard: UploadEvent[] = [];
      return { events, heard, unsubscribe: events.subscribe((event) => heard.push(event)) };
    };
    /** Somebody outside, who binds a queue to the exchange. */
    const outsider = async (pattern: string) => {
      const connection = await connect(server.url);
      const channel = await connection.createConfirmChannel();
      const { queue } = await channel.assertQueue('', { exclusive: true });
      await channel.bindQueue(queue, `${prefix}.events`, pattern);
      const messages: ConsumeMessage[] = [];
      await channel.consume(queue, (message) => message && messages.push(message), { noAck: true });
      return { channel, messages, [Symbol.asyncDispose]: () => connection.close() };
    };

    test('reach every process once, the one that published them too, in their order', async () => {
      const [here, there] = [await open(), await open()];
      const sent = [eventOf('queued'), eventOf('relaying'), eventOf('stored', STORED)];
      for (const event of sent) await here.events.publish(event);
      await eventually(() => expect(there.heard).toHaveLength(3));
      const last = eventOf('deleted');
      await there.events.publish(last);
      for (const { heard } of [here, there]) await eventually(() => expect(heard).toEqual([...sent, last]));
    });

    test('are no longer told to who does not listen any more', async () => {
      const [here, there] = [await open(), await open()];
      there.unsubscribe();
      await here.events.publish(eventOf('queued'));
      const heard: UploadEvent[] = [];
      there.events.subscribe((event) => heard.push(event));
      const second = eventOf('stored');
      await here.events.publish(second);
      await eventually(() => expect(heard.at(-1)).toEqual(second));
      expect(there.heard).toEqual([]);
    });

    test('reach who is bound to their type as CloudEvents with the upload as the API shows it', async () => {
      const { events } = await open();
      await using stranger = await outsider('upload.stored');
      const stored = eventOf('stored', STORED);
      await events.publish(eventOf('queued'));
      await events.publish(stored);
      await eventually(() => expect(stranger.messages).toHaveLength(1));
      const [message] = stranger.messages;
      expect(message?.properties).toMatchObject({ contentType: 'application/cloudevents+json', messageId: stored.id, deliveryMode: 2 });
      const { tenant, version, ...shown } = stored.upload;
      expect(JSON.parse(`${message?.content}`)).toEqual({
        specversion: '1.0',
        id: stored.id,
        source: PUBLIC_URL,
        type: 'upload.stored',
        subject: stored.upload.id,
        time: '2026-11-05T12:00:00.008Z',
        datacontenttype: 'application/json',
        tenant,
        recordversion: version,
        data: {
          ...shown,
          url: `${PUBLIC_URL}/v1/uploads/${stored.upload.id}/content`,
          history: [
            { state: 'queued', at: '2026-11-05T11:59:59.997Z' },
            { state: 'stored', at: '2026-11-05T12:00:00.007Z' },
          ],
          createdAt: '2026-11-05T12:00:00.007Z',
          updatedAt: '2026-11-05T12:00:00.007Z',
          storedAt: '2026-11-05T12:00:00.007Z',
          expiresAt: null,
        },
      });
    });

    test('are not made up from what others send', async () => {
      const { events, heard } = await open();
      await using stranger = await outsider('#');
      stranger.channel.publish(`${prefix}.events`, 'upload.stored', Buffer.from('{"hello":"world"}'));
      await stranger.channel.waitForConfirms();
      const event = eventOf('stored');
      await events.publish(event);
      await eventually(() => expect(heard).toEqual([event]));
      await eventually(() => expect(stranger.messages).toHaveLength(2));
    });

    test('are heard again after the connection was lost, once each', async () => {
      const [here, there] = [await open(), await open(proxy.url)];
      for (let round = 1; round <= 3; round += 1) {
        proxy.cut();
        // What is published while the other one is away is lost to it: only then is it known to be back.
        await eventually(async () => {
          const event = eventOf('stored');
          await here.events.publish(event);
          await eventually(() => expect(there.heard).toContainEqual(event), 200);
        });
      }
      await eventually(() => there.events.publish(eventOf('failed')));
      await eventually(() => expect(here.heard.at(-1)?.type).toBe('upload.failed'));
      for (const { heard } of [here, there]) expect(new Set(heard.map(({ id }) => id)).size).toBe(heard.length);
    });

    test('are refused while the broker is away', async () => {
      const { events, heard } = await open(proxy.url);
      proxy.sever();
      await expect(events.publish(eventOf('stored'))).rejects.toMatchObject({ code: 'queue_unavailable', status: 503 });
      proxy.mend();
      const event = eventOf('stored');
      await eventually(async () => {
        await events.publish(event);
        await eventually(() => expect(heard).toContainEqual(event), 200);
      });
    });

    test('need an exchange, which is made by provisioning and made again when it was deleted', async () => {
      const { events } = await open();
      await events.publish(eventOf('queued'));
      expect(await events.provision()).toMatchObject([{ subject: `exchange ${prefix}.events`, outcome: 'unchanged' }]);
      await using stranger = await outsider('#');
      await stranger.channel.deleteExchange(`${prefix}.events`);
      expect(await events.provision()).toMatchObject([{ outcome: 'made' }]);
      await stranger.channel.deleteExchange(`${prefix}.events`);
      await expect(events.publish(eventOf('stored'))).rejects.toMatchObject({ code: 'queue_unavailable' });
      await eventually(() => events.publish(eventOf('stored')));
    });
  });
});
