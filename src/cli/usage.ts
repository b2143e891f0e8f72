/** Wrong use of the command line: told with the usage, exit code 2. */
export class UsageError extends Error {}

export const usage = `mechanist: mechanistic interpretability of language models

Usage
  mechanist trace PROMPT [options]       explain the next token of a prompt
  mechanist models list                  models that can be named
  mechanist models pull ID               download a catalogue model, or resume
  mechanist models info MODEL            architecture and memory, from the headers
  mechanist models verify ID             compare logits with HF transformers
  mechanist models add PATH              remember a local folder or .gguf file

PROMPT is text; "-" reads it from standard input.
MODEL is a catalogue id, a Hugging Face folder, or a .gguf file.

Options of trace
  --model MODEL            default smollm2-135m; downloaded when it is not here
  --observable JSON        e.g. '{" she": 1, " he": -1}'; default: the first minus
                           the second most likely next token
  --method METHOD          direct (default) or occlusion
  --position N             where the observable is read, from 0; negative counts
                           from the end; default: last
  --top N                  next-token candidates, default 10
  --prompt-file FILE       read the prompt from a file ("-": standard input)
  --threads N              threads for inference, default: all cores

Options of all commands
  --json                   one JSON object on standard output
  --text                   a table for people (default)
  --debug                  show where an error came from
  --help, --version

Environment
  MECHANIST_CACHE          folder for downloaded models
  HF_ENDPOINT              another Hugging Face hub

Exit code: 0, 1 (failed), 2 (wrong use), 130 (Ctrl+C)
`;
