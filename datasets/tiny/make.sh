#!/bin/bash
# Rebuilds the embedded model from its seed: make.sh SONDE FOLDER [--install]
#
# SONDE is the program; FOLDER receives the text, the tokenizer, the model and RESULTS.md. --install
# replaces the files that are linked into the program. Text and tokenizer depend on the seed alone,
# the weights also on the kernel set and the number of threads. PYTHON needs numpy and h5py, for the
# report alone.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-/usr/bin/python3}
sonde=$(realpath "$1")
mkdir -p "$2" && cd "$2"
seed=1

# The text, the same world in few words and in short sentences, and the words that must be one token.
"$sonde" dataset world:100000 --seed $seed > corpus.jsonl
"$sonde" dataset primer:60000 --seed $seed > primer.jsonl
"$sonde" dataset reader:100000 --seed $seed > reader.jsonl
"$python" "$here/words.py" "$here/../smallworld.c" > words.txt

# The tokenizer learns from a part of the text that has every word.
head -n 30000 corpus.jsonl > part.jsonl
mkdir -p bpe
"$python" "$here/train_bpe.py" part.jsonl words.txt 2000 bpe

# A sequence is a document, as prompts are. Copying what was just read takes longest to learn. From
# all of the world's words it had not been learned after 2.5 M tokens; where words are few it is
# learned within 0.4 M, then grows to all words in short sentences, and stays in the whole world.
train() {
    "$sonde" train "$@" --by-document --beta2 0.98 --weight-decay 0.05 --warmup 100 \
        --held-out 0.005 --seed $seed -t 2
}
train -f primer.jsonl --vocab-folder bpe -o primer \
    --n-layer 5 --n-head 4 --d-model 128 --n-ctx 256 --init-std 0.06 \
    --steps 1000 --batch-tokens 512 --lr 1e-3 --lr-floor 0.5 --eval-every 100 --eval-tokens 5000
head -n 6000 primer.jsonl > primer_again.jsonl
train -m primer -f reader.jsonl -f primer_again.jsonl -o reader \
    --steps 2500 --batch-tokens 512 --lr 1e-3 --lr-floor 0.5 --eval-every 250 --eval-tokens 5000
head -n 12000 reader.jsonl > reader_again.jsonl
train -m reader -f corpus.jsonl -f reader_again.jsonl -o model \
    --steps 6000 --batch-tokens 768 --lr 1.5e-3 --lr-floor 0.03 --eval-every 250 \
    --eval-tokens 15000 --dtype f16

"$python" "$here/report.py" "$sonde" model -o RESULTS.md
if [ "${3:-}" = --install ]; then
    cp model/config.json model/model.safetensors bpe/vocab.json bpe/merges.txt RESULTS.md "$here"
fi
