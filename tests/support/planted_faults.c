// Loaded before a program (LD_PRELOAD) to plant what a test cannot make for real: a wrong clock, a
// file system that does not lock, a file that cannot be made, another version of a library. Does
// nothing unless its variables are set.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
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

// PLANTED_OPEN_REFUSED: a part of the paths that may not be opened.
int open(const char* path, int flags, ...) {
  static int (*real)(const char*, int, ...);
  if (real == NULL) real = (int (*)(const char*, int, ...))dlsym(RTLD_NEXT, "open");
  const char* refused = getenv("PLANTED_OPEN_REFUSED");
  if (refused != NULL && strstr(path, refused) != NULL) {
    errno = EACCES;
    return -1;
  }
  va_list more;
  va_start(more, flags);
  const int mode = va_arg(more, int);  // not looked at where none was given
  va_end(more);
  return real(path, flags, mode);
}

// PLANTED_HDF5_MINOR: the minor version that HDF5 says it has.
int H5get_libversion(unsigned* major, unsigned* minor, unsigned* release) {
  static int (*real)(unsigned*, unsigned*, unsigned*);
  if (real == NULL)
    real = (int (*)(unsigned*, unsigned*, unsigned*))dlsym(RTLD_NEXT, "H5get_libversion");
  const int result = real(major, minor, release);
  const char* planted = getenv("PLANTED_HDF5_MINOR");
  if (planted != NULL) *minor = (unsigned)atoi(planted);
  return result;
}
