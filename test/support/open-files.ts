import { readdir, readFile, readlink } from 'node:fs/promises';

/** Linux: the flags with which this process has opened files whose path is wanted, once for each time it has. */
export async function flagsOfOpenFiles(isWanted: (path: string) => boolean): Promise<number[]> {
  const fds = await readdir('/proc/self/fd');
  const paths = await Promise.all(fds.map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => '')));
  const wanted = fds.filter((_, at) => isWanted(paths[at] ?? ''));
  const infos = await Promise.all(wanted.map((fd) => readFile(`/proc/self/fdinfo/${fd}`, 'utf8')));
  return infos.map((info) => Number.parseInt(/flags:\s+(\d+)/.exec(info)?.[1] ?? '', 8));
}
