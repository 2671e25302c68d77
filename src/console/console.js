import { Api } from './api.js';
import { ListView } from './list-view.js';
import { OperatorView } from './operator-view.js';
import { ProblemView } from './problem-view.js';
import { SendView, showUnfinished } from './send-view.js';
import { isFinal } from './states.js';
import { TaskList } from './task-view.js';
import { TokenView } from './token-view.js';
import { Slots } from './transfer.js';
import { UnfinishedUploads } from './unfinished.js';
import { UploadTask } from './upload-task.js';
import { Watcher } from './watcher.js';

/** Bodies sent at once, over all files: with the event streams they stay below a browser's six connections to a server. */
const BODIES_AT_ONCE = 3;
const FILES_AT_ONCE = 3;

const api = new Api();
const problems = new ProblemView(api);
const watcher = new Watcher(api);
const unfinished = new UnfinishedUploads(localStorage);
const services = { api, watcher, unfinished, slots: new Slots(BODIES_AT_ONCE), files: new Slots(FILES_AT_ONCE) };

const list = new ListView({ api, watcher, problems });
const operator = new OperatorView({ api, problems, onRedrive: (upload) => list.update(upload) });
const tasks = new TaskList({ problems });

function reload() {
  list.load();
  operator.load();
}

function send(files, { strategy, resource }) {
  for (const file of files) {
    const task = new UploadTask({ file, strategy, resource }, services);
    let seen = null;
    task.addEventListener('change', () => {
      const { upload } = task;
      if (!upload || (upload.id === seen?.id && upload.state === seen.state)) return;
      seen = upload;
      list.update(upload);
      if (isFinal(upload.state)) operator.load();
    });
    tasks.add(task);
    task.start();
  }
}

new TokenView({ api, problems, onToken: reload });
new SendView({ problems, onFiles: send });
addEventListener('beforeunload', (event) => {
  if (tasks.busy) event.preventDefault();
});
unfinished.addEventListener('change', () => showUnfinished({ unfinished, api, now: Date.now() }));
showUnfinished({ unfinished, api, now: Date.now() });
reload();
