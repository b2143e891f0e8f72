import { describe, expect, it } from 'vitest';
import {
  observableText,
  plainText,
  setFrontMatter,
  setFrontMatterKeys,
} from '../../../src/core/tasks/editFrontMatter.ts';
import type { FrontMatterKey } from '../../../src/core/tasks/frontMatter.ts';
import { parsePromptFile } from '../../../src/core/tasks/promptFile.ts';

function edited(source: string, key: FrontMatterKey, value: string): string | null {
  const edit = setFrontMatter(source, key, value);
  return edit && source.slice(0, edit.start) + edit.newText + source.slice(edit.end);
}

describe('setFrontMatter', () => {
  it('replaces a value and keeps comments and order', () => {
    const source = '---\n# why\nmodel: a # the first\nmethod: direct\n---\nx\n';
    expect(edited(source, 'model', 'b')).toBe('---\n# why\nmodel: b # the first\nmethod: direct\n---\nx\n');
  });

  it('replaces observables in flow and in block style', () => {
    const spec = observableText({ ' she': 1, ' he': -1 });
    expect(edited('---\nobservable: { " a": 1 }   # note\n---\nx', 'observable', spec)).toBe(
      '---\nobservable: { " she": 1, " he": -1 }   # note\n---\nx',
    );
    const block = edited('---\nobservable:\n  " a": 1\n  " b": -1\nmethod: direct\n---\nx', 'observable', spec) ?? '';
    const file = parsePromptFile(block);
    expect(file.problems).toEqual([]);
    expect(file.frontMatter?.observable?.value).toEqual({ ' she': 1, ' he': -1 });
    expect(file.frontMatter?.method?.value).toBe('direct');
  });

  it('adds a key, a value, and front matter where there is none', () => {
    expect(edited('---\nmodel: a\n---\nx', 'method', 'occlusion')).toBe('---\nmodel: a\nmethod: occlusion\n---\nx');
    expect(edited('---\nmodel:\n---\nx', 'model', 'b')).toBe('---\nmodel: b\n---\nx');
    expect(edited('x\n', 'model', 'b')).toBe('---\nmodel: b\n---\nx\n');
    expect(edited('---\n---\nx', 'model', 'b')).toBe('---\nmodel: b\n---\nx');
    expect(edited('---\n{model: a}\n---\nx', 'method', 'direct')).toBe('---\n{model: a, method: direct}\n---\nx');
  });

  it('keeps CRLF', () => {
    expect(edited('---\r\nmodel: a\r\n---\r\nx', 'method', 'direct')).toBe(
      '---\r\nmodel: a\r\nmethod: direct\r\n---\r\nx',
    );
  });

  it('leaves broken front matter alone', () => {
    expect(setFrontMatter('---\nmodel: "a\n---\nx', 'model', 'b')).toBeNull();
    expect(setFrontMatter('---\nmodel: a\n', 'model', 'b')).toBeNull();
    expect(setFrontMatter('---\n- a\n---\nx', 'model', 'b')).toBeNull();
  });

  it('quotes names that YAML would read as something else', () => {
    expect(plainText('smollm2-135m')).toBe('smollm2-135m');
    expect(plainText('/models/a b')).toBe('"/models/a b"');
    expect(plainText('yes')).toBe('"yes"');
    expect(plainText('C:\\models')).toBe('"C:\\\\models"');
  });
});

describe('setFrontMatterKeys', () => {
  it.each([
    ['---\nmodel: m\nmethod: direct # how\n---\nx\n', '---\nmodel: m\nmethod: occlusion # how\nview: score\n---\nx\n'],
    ['x\n', '---\nmethod: occlusion\nview: score\n---\nx\n'],
    ['---\nview: contribution\n---\nview\n', '---\nview: score\nmethod: occlusion\n---\nview\n'],
  ])('makes one edit of %j', (source, expected) => {
    const edit = setFrontMatterKeys(source, [
      ['method', 'occlusion'],
      ['view', 'score'],
    ]);
    expect(edit && source.slice(0, edit.start) + edit.newText + source.slice(edit.end)).toBe(expected);
  });

  it('makes none of broken YAML', () => {
    expect(setFrontMatterKeys('---\nmodel: "a\n---\nx', [['model', 'b']])).toBeNull();
  });
});
