/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UTIL_LOCK_H
#define UTIL_LOCK_H

/*
 * Mutexes and conditions with clang's thread-safety attributes, so that calling a function which
 * REQUIRES(lock) without holding it is a compile error there.  clang 14 knows the attributes for
 * functions only in C; which fields a lock guards is said by the comment above their group.
 *
 * POSIX underneath and not glib's, which ThreadSanitizer cannot see into.
 *
 * A function whose name ends in _locked expects its caller to hold the lock.
 */

#include <pthread.h>

#if defined(__clang__)
#define TSA(x) __attribute__((x))
#else
#define TSA(x)
#endif

#define CAPABILITY(name) TSA(capability(name))
#define REQUIRES(lock)   TSA(requires_capability(lock))
#define ACQUIRES(lock)   TSA(acquire_capability(lock))
#define RELEASES(lock)   TSA(release_capability(lock))
#define EXCLUDES(lock)   TSA(locks_excluded(lock))
#define NO_TSA           TSA(no_thread_safety_analysis)

typedef struct CAPABILITY("mutex") Mutex {
    pthread_mutex_t mutex;
} Mutex;

typedef struct Cond {
    pthread_cond_t cond;
} Cond;

static inline void mutex_init(Mutex *m)
{
    pthread_mutex_init(&m->mutex, NULL);
}

static inline void mutex_fini(Mutex *m)
{
    pthread_mutex_destroy(&m->mutex);
}

static inline void mutex_lock(Mutex *m) ACQUIRES(m) NO_TSA
{
    pthread_mutex_lock(&m->mutex);
}

static inline void mutex_unlock(Mutex *m) RELEASES(m) NO_TSA
{
    pthread_mutex_unlock(&m->mutex);
}

static inline void cond_init(Cond *c)
{
    pthread_cond_init(&c->cond, NULL);
}

static inline void cond_fini(Cond *c)
{
    pthread_cond_destroy(&c->cond);
}

/* Releases m while it sleeps and holds it again on return; wakes for no reason at times. */
static inline void cond_wait(Cond *c, Mutex *m) REQUIRES(m) NO_TSA
{
    pthread_cond_wait(&c->cond, &m->mutex);
}

static inline void cond_signal(Cond *c)
{
    pthread_cond_signal(&c->cond);
}

static inline void cond_broadcast(Cond *c)
{
    pthread_cond_broadcast(&c->cond);
}

#endif
