import { describe, expect, it } from 'vitest';
import { parseCommand } from '../../../src/cli/parseCommand.ts';
import { table } from '../../../src/cli/table.ts';
import { UsageError } from '../../../src/cli/usage.ts';

describe('arguments', () => {
  it('reads everything trace knows', () => {
    const args = [
      'trace',
      'Hi',
      '--model',
      'm',
      '--observable',
      '{" she":1," he":-0.5}',
      '--position',
      '-2',
      '--method',
      'occlusion',
    ];
    expect(parseCommand([...args, '--top', '3', '--json', '--threads', '2'])).toEqual({
      kind: 'trace',
      prompt: { text: 'Hi' },
      model: 'm',
      observable: { ' she': 1, ' he': -0.5 },
      position: -2,
      method: 'occlusion',
      top: 3,
      threads: 2,
      json: true,
    });
  });

  it('has defaults', () => {
    expect(parseCommand(['trace', ''])).toMatchObject({
      prompt: { text: '' },
      model: 'smollm2-135m',
      observable: undefined,
      position: undefined,
      method: 'direct',
      top: 10,
      json: false,
    });
  });

  it('reads prompts from files, standard input and after --', () => {
    expect(parseCommand(['trace', '-'])).toMatchObject({ prompt: { file: '-' } });
    expect(parseCommand(['trace', '--prompt-file', 'a.txt'])).toMatchObject({ prompt: { file: 'a.txt' } });
    expect(parseCommand(['trace', '--', '--not-an-option'])).toMatchObject({ prompt: { text: '--not-an-option' } });
  });

  it('reads the models commands, help and version', () => {
    expect(parseCommand(['models', 'list', '--json'])).toMatchObject({ kind: 'models', action: 'list', json: true });
    expect(parseCommand(['models', 'pull', 'gpt2'])).toMatchObject({ action: 'pull', model: 'gpt2', json: false });
    for (const args of [['--help'], ['-h'], ['help'], ['trace', '--help'], ['models', '--help']]) {
      expect(parseCommand(args).kind).toBe('help');
    }
    expect(parseCommand(['--version']).kind).toBe('version');
  });

  it.each([
    [[], 'no command'],
    [['tarce'], 'unknown command "tarce"'],
    [['--json'], 'no command'],
    [['trace'], 'needs a prompt'],
    [['trace', 'a', 'b'], 'unexpected argument "b"'],
    [['trace', 'a', '--nope'], "Unknown option '--nope'"],
    [['trace', 'a', '--model'], 'argument missing'],
    [['trace', 'a', '--model', '--json'], 'ambiguous'],
    [['trace', 'a', '--top', '0'], '--top must be a whole number from 1'],
    [['trace', 'a', '--top', '-3'], '--top must be a whole number from 1'],
    [['trace', 'a', '--top', '1.5'], '--top must be'],
    [['trace', 'a', '--position', 'x'], '--position must be a whole number, not "x"'],
    [['trace', 'a', '--method', 'magic'], '--method must be one of direct, occlusion, gradient-times-input'],
    [['trace', 'a', '--observable', '{'], '--observable is not JSON'],
    [['trace', 'a', '--observable', '[1]'], 'must be an object'],
    [['trace', 'a', '--observable', '{}'], 'must be an object'],
    [['trace', 'a', '--observable', '{"a":"b"}'], 'weight of "a" must be a number'],
    [['trace', 'a', '--json', '--text'], 'exclude each other'],
    [['trace', 'a', '--prompt-file', 'b'], 'not both'],
    [['models'], 'needs one of'],
    [['models', 'remove'], 'unknown command "models remove"'],
    [['models', 'constructor'], 'unknown command "models constructor"'],
    [['models', 'pull'], 'models pull needs a catalogue id'],
    [['models', 'list', 'x'], 'unexpected argument "x"'],
    [['models', 'info', 'a', 'b'], 'unexpected argument "b"'],
  ] as [string[], string][])('refuses %j', (args, words) => {
    expect(() => parseCommand(args)).toThrow(UsageError);
    expect(() => parseCommand(args)).toThrow(words);
  });
});

describe('tables', () => {
  it('keep their columns straight, also with wide characters', () => {
    const text = table(
      [
        { title: 'token', align: 'left' },
        { title: 'n', align: 'right' },
      ],
      [
        ['日本', '1'],
        ['abcdef', '23'],
      ],
    );
    expect(text).toBe(['token    n', '日本     1', 'abcdef  23'].join('\n'));
  });
});
