/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SUPPORT_FAKE_BLOCK_H
#define TESTS_SUPPORT_FAKE_BLOCK_H

/*
 * A disk in memory whose requests end when the test says so, and how the test says.
 */

#include "devices/backend/block.h"

typedef struct FakeBlock {
    BlockBackend base;
    uint8_t *data;
    bool hold;           /* keep requests until fake_block_finish */
    int fail_with;       /* errno value of the requests that come next; 0 = none */
    unsigned fail_after; /* this many go well before */
    BlockRequest *held;  /* the oldest first */
    unsigned held_count;
    unsigned submitted;
    unsigned last_flags;
    BlockOp last_op;
} FakeBlock;

FakeBlock *fake_block_new(uint64_t size);

/* Ends the oldest (the newest) held request: by doing it if error is 0. */
void fake_block_finish_oldest(FakeBlock *fake, int error);
void fake_block_finish_newest(FakeBlock *fake, int error);

/* On the loop's thread: ends all of them in one batch. */
void fake_block_finish_all(FakeBlock *fake, int error);

#endif
