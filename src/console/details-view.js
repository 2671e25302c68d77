import { copyButton } from './copy-button.js';
import { button, element } from './dom.js';
import { formatBytes, formatGap, formatTime } from './format.js';

/** Everything that is known about one upload. `actions` are `{ onDelete, onSave }`; `onSave` is null when a plain link does. */
export function detailsOf(upload, { onDelete, onSave }) {
  const { id, filename, state, url } = upload;
  return element(
    'div',
    { class: 'details' },
    element('div', { class: 'columns' }, facts(upload), history(upload)),
    element(
      'div',
      { class: 'actions' },
      state === 'stored' && download({ id, filename, onSave }),
      url && copyButton('Copy link', url, { 'data-focus': 'copy', 'aria-label': `Copy link to ${filename}` }),
      copyButton('Copy id', id, { 'data-focus': 'copy-id', 'aria-label': `Copy id of ${filename}` }),
      state !== 'deleted' && button('Delete', onDelete, { class: 'danger', 'data-focus': 'delete', 'aria-label': `Delete ${filename}` }),
    ),
  );
}

const download = ({ id, filename, onSave }) =>
  onSave
    ? button('Download', onSave, { 'data-focus': 'download', 'aria-label': `Download ${filename}` })
    : element('a', { class: 'button', href: `v1/uploads/${id}/content`, download: filename, 'data-focus': 'download' }, 'Download');

function facts({ id, contentType, size, sha256, location, resource, metadata, error, attempts, expiresAt, state }) {
  const pairs = Object.entries(metadata ?? {}).map(([name, value]) => element('div', {}, `${name}: ${value}`));
  const rows = [
    error && ['Error', element('a', { href: `docs/errors#${encodeURIComponent(error.code)}` }, error.code), ` ${error.detail}`],
    ['Id', element('code', {}, id)],
    ['Type', contentType],
    ['Size', `${size.toLocaleString()} bytes`, size >= 1024 ? ` (${formatBytes(size)})` : ''],
    ['SHA-256', sha256 ? element('code', {}, sha256) : 'not known yet'],
    location && ['Location', element('code', {}, placeOf(location))],
    resource && ['Resource', element('code', {}, `${resource.type}/${resource.id}`)],
    pairs.length > 0 && ['Metadata', ...pairs],
    attempts > 0 && ['Attempts', String(attempts)],
    expiresAt && state === 'pending' && ['Expires', formatTime(expiresAt)],
  ];
  return element('dl', {}, ...rows.filter(Boolean).flatMap(([name, ...value]) => [element('dt', {}, name), element('dd', {}, ...value)]));
}

/** `disk on local: direct/…` or `s3: bucket/key`. */
const placeOf = ({ store, bucket, key, node }) => `${store}${node ? ` on ${node}` : ''}: ${bucket ? `${bucket}/` : ''}${key}`;

function history({ history: steps = [] }) {
  const step = ({ state, at }, index) => {
    const before = steps[index - 1];
    return element(
      'li',
      {},
      element('span', { class: 'state', 'data-state': state }, state),
      element('time', { datetime: at }, formatTime(at)),
      before && element('span', { class: 'quiet' }, `+${formatGap(Date.parse(at) - Date.parse(before.at))}`),
    );
  };
  return element('div', {}, element('h3', {}, 'History'), element('ol', { class: 'history' }, ...steps.map(step)));
}
