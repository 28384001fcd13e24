mod grammar;
mod matching;
