// Loaded before a program (LD_PRELOAD) to plant what a test cannot make for real: a wrong clock, a
// file system that does not lock. Does nothing unless its variables are set.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/file.h>
#include <time.h>

// PLANTED_CLOCK_SHIFT: seconds that the time of day is ahead.
int clock_gettime(clockid_t clock, struct timespec* now) {
  static int (*real)(clockid_t, struct timespec*);
  if (real == NULL) real = (int (*)(clockid_t, struct timespec*))dlsym(RTLD_NEXT, "clock_gettime");
  const int result = real(clock, now);
  const char* shift = getenv("PLANTED_CLOCK_SHIFT");
  if (result == 0 && clock == CLOCK_REALTIME && shift != NULL) now->tv_sec += atoi(shift);
  return result;
}

// PLANTED_LOCK_ERROR: the errno of every lock.
int flock(int file, int operation) {
  static int (*real)(int, int);
  if (real == NULL) real = (int (*)(int, int))dlsym(RTLD_NEXT, "flock");
  const char* error = getenv("PLANTED_LOCK_ERROR");
  if (error == NULL) return real(file, operation);
  errno = atoi(error);
  return -1;
}
