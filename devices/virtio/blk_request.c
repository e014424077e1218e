/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/virtio/blk_request.h"

void blk_request_free(void *opaque)
{
    BlkRequest *request = opaque;

    virt_chain_clear(&request->chain);
    g_free(request);
}

struct iovec *blk_request_out_data(VirtChain *chain, unsigned *ret_count)
{
    struct iovec *iov = chain->iov;
    unsigned count = chain->num_out;
    size_t skip = BLK_HEADER_BYTES;

    while (count > 0 && skip >= iov->iov_len) {
        skip -= iov->iov_len;
        iov++;
        count--;
    }
    if (count > 0) {
        iov->iov_base = (uint8_t *)iov->iov_base + skip;
        iov->iov_len -= skip;
    }
    *ret_count = count;
    return iov;
}

uint8_t *blk_request_cut_status(VirtChain *chain)
{
    struct iovec *last = &chain->iov[chain->num_out + chain->num_in - 1];

    last->iov_len--;
    if (last->iov_len == 0) {
        chain->num_in--;
    }
    return (uint8_t *)last->iov_base + last->iov_len;
}
