//! Tests of the evaluator that need no files.
