import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { type Call, commit } from '../../../../src/adapters/sqlite/batch.ts';
import { Connection } from '../../../../src/adapters/sqlite/connection.ts';
import { write } from '../../../../src/adapters/sqlite/operation.ts';

describe('calls that share a commit', () => {
  let connection: Connection;
  beforeEach(() => {
    connection = new Connection(':memory:');
    connection.exec('CREATE TABLE notes (text TEXT PRIMARY KEY)');
  });
  afterEach(() => connection.close());

  const note = (text: string, id: number): Call => ({
    id,
    operation: write(() => connection.run('INSERT INTO notes VALUES (?)', text)),
    args: [],
  });
  const notes = (): string[] => connection.all<[string]>('SELECT text FROM notes ORDER BY text').map(([text]) => text);

  test('are answered each with its own result', () => {
    expect(commit(connection, [note('a', 7), note('b', 8)])).toEqual({ ids: [7, 8], values: [1, 1], failedIds: [], failures: [] });
    expect(notes()).toEqual(['a', 'b']);
  });

  test('are not undone by one that fails', () => {
    const reply = commit(connection, [note('a', 1), note('a', 2), note('b', 3)]);
    expect(reply).toMatchObject({ ids: [1, 3], failedIds: [2] });
    expect(reply.failures[0]?.message).toMatch(/UNIQUE/);
    expect(notes()).toEqual(['a', 'b']);
  });

  test('have all failed when SQLite takes the whole transaction back', () => {
    const full: Call = {
      id: 2,
      operation: write(() => {
        connection.exec('ROLLBACK');
        throw new Error('database or disk is full');
      }),
      args: [],
    };
    const reply = commit(connection, [note('a', 1), full, note('b', 3)]);
    expect(reply).toMatchObject({ ids: [], failedIds: [1, 2, 3] });
    expect(reply.failures.map(({ message }) => message)).toEqual(Array(3).fill('database or disk is full'));
    expect(notes()).toEqual([]);
    expect(commit(connection, [note('c', 4)])).toMatchObject({ ids: [4] });
  });

  test('have all failed when the commit fails', () => {
    connection.exec('PRAGMA foreign_keys = ON');
    connection.exec('CREATE TABLE replies (note TEXT REFERENCES notes (text) DEFERRABLE INITIALLY DEFERRED)');
    const orphan: Call = { id: 2, operation: write(() => connection.run(`INSERT INTO replies VALUES ('none')`)), args: [] };
    const reply = commit(connection, [note('a', 1), orphan]);
    expect(reply).toMatchObject({ ids: [], failedIds: [1, 2] });
    expect(notes()).toEqual([]);
  });
});
