/** Wrong use of the command line: told with the usage, exit code 2. */
export class UsageError extends Error {}

export const usage = `mechanist: mechanistic interpretability of language models

Usage
  mechanist trace PROMPT [options]       explain the next token of a prompt
  mechanist ablate [options]             remove each head, MLP, neuron, position
  mechanist patch [options]              put activations of one run into another
  mechanist path-patch [options]         patch single paths between heads
  mechanist steer [options]              add a direction inside the model
  mechanist run FILE [options]           run an experiment, or go on with it
  mechanist merge FILE PART...           join shares of an experiment's cells
  mechanist dataset make TASK [options]  acronyms, ioi, greater-than or pairs as .jsonl
  mechanist dataset check FILE           what is wrong with it, for one model
  mechanist dataset import FILE          from text, CSV, AutoCircuit's JSON
  mechanist models list                  models that can be named
  mechanist models pull ID               download a catalogue model, or resume
  mechanist models info MODEL            architecture and memory, from the headers
  mechanist models verify ID             compare logits with HF transformers
  mechanist models add PATH              remember a local folder or .gguf file

PROMPT is text; "-" reads it from standard input.
FILE is an experiment, *.experiment.yaml; PART is the results folder of a share.
MODEL is a catalogue id, a Hugging Face folder, or a .gguf file.

Options of trace
  --model MODEL            default smollm2-135m; downloaded when it is not here
  --observable JSON        e.g. '{" she": 1, " he": -1}'; default: the first minus
                           the second most likely next token
  --method METHOD          direct (default), occlusion, gradient-times-input,
                           integrated-gradients (--steps N, default 32) or
                           observable-propagation
  --path PATH              observable-propagation: e.g. "L21.H4@7 <= MLP 12@7",
                           nearest the logits first, @ the token read (from 1);
                           default: the head with the largest direct contribution
  --norm MODE              frozen (default), ignore, scaled, jacobian or secant
  --view VIEW              score (default): the feature read at every token; or
                           contribution: what each token adds through the path
  --position N             where the observable is read, from 0; negative counts
                           from the end; default: last
  --top N                  next-token candidates, default 10
  --prompt-file FILE       read the prompt from a file ("-": standard input)
  --threads N              threads for inference, default: all cores

Options of ablate, patch and path-patch
  --prompt TEXT            ablate: the prompt
  --clean, --corrupted     patch, path-patch: prompts with as many tokens each
  --answer, --foil TOKEN   e.g. " Mary" and " John"; --foil may be repeated
  --position N             where the answer is predicted; default: last
  --data FILE              prompts and answers from a .jsonl file instead
  --corruption NAME        patch, path-patch: a corruption that the data name, in
                           the place of their corrupted prompts
  --metric METRIC          logit-difference (default), log-prob, prob, kl,
                           prob-sum-difference, cross-entropy or rank;
                           --foil-form one, mean or max
  --normalize FORM         denoising or noising: share of the whole effect
  --sites SITES            ablate: heads (default), mlps, neurons (with --layer),
                           positions
  --mode MODE              ablate: zero (default), mean or resample
  --mean-over WHAT         batch (default) or position
  --site SITE              patch: resid_pre, resid_mid, resid_post, attn_out,
                           mlp_out, z, q, k, v or pattern
  --no-positions           patch: all positions at once
  --by-position            patch z, q, k, v, pattern: a row a head, a column a
                           position; --heads "9.6 9.9", or --layer N for all of it
  --direction DIRECTION    denoising (default) or noising
  --receivers LIST         path-patch: final (default), or as "9.6.q 10.1.v"
  --mlps HOW               path-patch: recomputed (default) or frozen
  --method METHOD          exact (default), attribution (first-order estimate) or
                           screened (estimate, the largest run exactly)
  --verify-top N           screened: how many are run exactly, default 20
  --seed N                 resampling and intervals, default 0
  --memory MB              activations held at once, default a quarter of what is
                           free
  --out FILE               write the result as .mechanist.json, also when stopped
  --resume FILE            go on from a result that is not complete

Options of steer
  --prompt, --answer, --foil as for ablate
  --hook NAME              where, e.g. blocks.15.hook_resid_pre
  --toward, --away TOKEN   direction: difference of their unembeddings; or
  --plus, --minus TEXT     of the hook's activations after two texts; or
  --vector FILE            a JSON list of numbers
  --factor X               how far, for a direction of length 1 (--keep-length: as
                           it is); may be repeated; default 8
  --positions LIST         default: every position

Options of run and merge
  --step NAME              only this step; may be repeated
  --cells I/N              run: the I-th of N shares of every step's cells, to be
                           merged later (or written into one common folder)
  --model MODEL            instead of the one in the file
  --out FOLDER             results; default: NAME.results beside the file
  --fresh                  run: forget the cells that are done
  --observables FILE       YAML or JSON: observables by name that the file does
                           not give itself, or settings.json of a workspace

Options of dataset
  --model MODEL            whose tokenizer counts, default smollm2-135m
  --rows N                 make: how many, default 200
  --seed N                 make: default 0
  --letters K              make acronyms: letters of each, default 3
  --collisions HOW         make acronyms: exclude (default), avoid or allow that a
                           corrupted token equals the clean one
  --before TEXT            make acronyms: text before each prompt, as
                           "<|endoftext|>" where a tokenizer adds no BOS
  --words FILE             make acronyms: words of each row, as lines of the
                           paper's data or of words alone, instead of drawn ones
  --from FILE              make pairs: YAML with templates and what fills them
  --format FORMAT          import: jsonl, autocircuit, csv, or text (lines of
                           "prompt, answer"); default: by the file's name
  --out FILE               the .jsonl file to write

Options of all commands
  --json                   one JSON object on standard output
  --text                   a table for people (default)
  --debug                  show where an error came from
  --help, --version

Environment
  MECHANIST_CACHE          folder for downloaded models
  HF_ENDPOINT              another Hugging Face hub

Exit code: 0, 1 (failed, or a number is not as expected), 2 (wrong use),
130 (Ctrl+C)
`;
