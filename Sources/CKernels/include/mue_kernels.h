/* The hot loops of MuE and the thread pool they run on. Plain C, no Swift, no globals beyond the chosen instruction set. */
#pragma once
#include <stddef.h>
#include <stdint.h>

typedef struct mk_pool mk_pool;
mk_pool *mk_pool_create(int32_t threads);
void mk_pool_destroy(mk_pool *pool);

typedef struct mk_lock mk_lock;
mk_lock *mk_lock_create(void);
void mk_lock_destroy(mk_lock *lock);
void mk_lock_acquire(mk_lock *lock);
void mk_lock_release(mk_lock *lock);

/* A latch that may be set from any thread and from a signal handler. */
typedef struct mk_flag mk_flag;
mk_flag *mk_flag_create(void);
void mk_flag_destroy(mk_flag *flag);
void mk_flag_set(mk_flag *flag);
int32_t mk_flag_get(const mk_flag *flag);
