import { announce } from './announce.js';
import { copyButton } from './copy-button.js';
import { button, byId, element, fill, setText } from './dom.js';
import { formatBytes, formatDuration } from './format.js';
import { MEANING } from './states.js';

const SPEED_EVERY_MS = 500;
const MOVING = ['waiting', 'sending', 'checking'];

/** One row of this session: a file, its progress, and what can be done about it. */
export class TaskView {
  #task;
  #problems;
  #onDismiss;
  #row;
  #progress;
  #status = element('p', { class: 'status' });
  #result = element('div', {});
  #actions = element('div', { class: 'actions' });
  #shown = {};
  #lastSpeed = { at: -Infinity, text: '' };
  #drawing = false;

  constructor(task, { problems, onDismiss }) {
    const { file, strategy, resource } = task;
    this.#task = task;
    this.#problems = problems;
    this.#onDismiss = onDismiss;
    this.#progress = element('progress', { max: Math.max(file.size, 1), value: 0, 'aria-label': `Progress of ${file.name}` });
    const about = [strategy, formatBytes(file.size), resource && `${resource.type}/${resource.id}`].filter(Boolean).join(' · ');
    this.#row = element(
      'li',
      { 'data-task': file.name },
      element(
        'div',
        { class: 'head' },
        element('p', { class: 'name' }, file.name, element('span', { class: 'quiet' }, ` ${about}`)),
        this.#actions,
      ),
      this.#progress,
      this.#status,
      this.#result,
    );
    task.addEventListener('change', () => this.#draw());
    this.#paint();
  }

  get node() {
    return this.#row;
  }

  /** Progress comes more often than a screen is drawn. */
  #draw() {
    if (this.#drawing) return;
    this.#drawing = true;
    const later = () => {
      this.#drawing = false;
      this.#paint();
    };
    // A hidden tab draws no frames, but its title and its announcements still count.
    if (document.hidden) setTimeout(later);
    else requestAnimationFrame(later);
  }

  #paint() {
    const task = this.#task;
    const { phase, sent, file } = task;
    this.#row.dataset.phase = phase;
    this.#progress.value = file.size === 0 && phase === 'stored' ? 1 : sent;
    this.#progress.hidden = ['failed', 'cancelled', 'stored'].includes(phase);
    setText(this.#status, this.#statusText());
    const key = `${phase} ${task.canPause}`;
    if (this.#shown.actions !== key) {
      fill(this.#actions, this.#actionsOf(phase));
      this.#shown.actions = key;
    }
    if (this.#shown.phase !== phase || this.#shown.problem !== task.problem) this.#changed(phase);
  }

  #changed(phase) {
    const { problem, upload, file } = this.#task;
    Object.assign(this.#shown, { phase, problem });
    if (phase === 'stored') {
      announce(`${file.name} is stored`);
      fill(this.#result, linkOf(upload));
    } else {
      if (phase === 'failed') announce(`${file.name}: ${problem.title}. ${problem.detail}`);
      if (phase === 'paused') announce(`${file.name} is paused`);
      this.#problems.show(this.#result, phase === 'failed' ? problem : null);
    }
  }

  #statusText() {
    const { phase, wait, upload, strategy } = this.#task;
    if (wait && MOVING.includes(phase)) return waitText(wait);
    switch (phase) {
      case 'waiting':
        return 'Waiting for its turn.';
      case 'sending':
        return this.#sendingText();
      case 'checking':
        return strategy === 'presign' ? 'Sent. The server is checking it.' : 'Sent. The server is making sure that it is safe.';
      case 'following':
        return MEANING[upload.state];
      case 'paused':
        return `Paused. ${this.#partsText()}`;
      case 'stored':
        return 'Stored.';
      case 'cancelled':
        return 'Cancelled.';
      default:
        return '';
    }
  }

  #sendingText() {
    const { sent, file } = this.#task;
    const now = performance.now();
    if (now - this.#lastSpeed.at >= SPEED_EVERY_MS) this.#lastSpeed = { at: now, text: speedText(this.#task.speed(now), file.size - sent) };
    return [`${formatBytes(sent)} of ${formatBytes(file.size)}`, this.#lastSpeed.text, this.#partsText()].filter(Boolean).join(' · ');
  }

  #partsText() {
    const { parts } = this.#task;
    return parts ? `${parts.done} of ${parts.count} parts` : '';
  }

  #actionsOf(phase) {
    const task = this.#task;
    const act = (label, onclick, focus = label) =>
      button(label, onclick, { 'aria-label': `${label} ${task.file.name}`, 'data-focus': focus });
    const dismiss = act('Remove', () => this.#onDismiss(task), 'last');
    const cancel = act('Cancel', () => task.cancel(), 'last');
    if (phase === 'paused') return [act('Resume', () => task.start(), 'first'), cancel];
    if (phase === 'failed') return [act('Try again', () => task.start(), 'first'), dismiss];
    if (phase === 'stored' || phase === 'cancelled') return [dismiss];
    if (phase === 'following') return [];
    return [task.canPause && act('Pause', () => task.pause(), 'first'), cancel];
  }
}

const waitText = ({ problem, ms, attempt, attempts, part }) =>
  `${problem.title}${part ? ` at part ${part}` : ''}. Trying again in ${formatDuration(Math.max(ms / 1000, 1))} (${attempt} of ${attempts - 1}).`;

function speedText(speed, left) {
  if (speed === null || speed <= 0) return '';
  return `${formatBytes(Math.round(speed))}/s · ${formatDuration(left / speed)} left`;
}

const linkOf = ({ url, filename }) =>
  element(
    'div',
    { class: 'link' },
    element('a', { href: webAddress(url) }, url),
    copyButton('Copy link', url, { 'aria-label': `Copy link to ${filename}` }),
  );

/** Only addresses of the web become links. */
const webAddress = (url) => (/^https?:\/\//i.test(url) ? url : null);

/** The rows of this session. */
export class TaskList {
  #views = new Map();
  #options;

  /** `options` has the `problems` view. */
  constructor(options) {
    this.#options = options;
    byId('clear').addEventListener('click', () => {
      for (const task of this.#views.keys()) if (['stored', 'cancelled'].includes(task.phase)) this.#remove(task);
    });
  }

  /** Whether leaving the page now would break something off. */
  get busy() {
    return [...this.#views.keys()].some(({ phase }) => MOVING.includes(phase));
  }

  add(task) {
    const view = new TaskView(task, { ...this.#options, onDismiss: (one) => this.#remove(one) });
    this.#views.set(task, view);
    byId('tasks').prepend(view.node);
    task.addEventListener('change', () => this.#showState());
    this.#showState();
  }

  #remove(task) {
    const view = this.#views.get(task);
    const hadFocus = view.node.contains(document.activeElement);
    task.dismiss();
    view.node.remove();
    this.#views.delete(task);
    this.#showState();
    if (hadFocus) byId('choose').focus();
  }

  #showState() {
    byId('tasks-empty').hidden = this.#views.size > 0;
    byId('clear').hidden = ![...this.#views.keys()].some(({ phase }) => ['stored', 'cancelled'].includes(phase));
  }
}
