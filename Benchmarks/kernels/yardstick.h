// Timing of rivals on a machine that others use too: they take turns, and the fastest turn of each counts.
#pragma once
#include <algorithm>
#include <cstdio>
#include <functional>
#include <random>
#include <time.h>
#include <vector>

using Floats = std::vector<float>;

inline Floats randoms(size_t count, unsigned seed) {
  std::mt19937 generator(seed);
  std::uniform_real_distribution<float> uniform(-1, 1);
  Floats values(count);
  for (float &value : values) value = uniform(generator);
  return values;
}

// Processor time of this thread: what others take from it in between does not count.
inline double busy() {
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return double(t.tv_sec) + 1e-9 * double(t.tv_nsec);
}

// The shortest time of one call of each rival, with `budget` seconds of processor time for all together.
inline std::vector<double> race(const std::vector<std::function<void()>> &rivals, double budget = 0.15) {
  std::vector<double> best(rivals.size(), 1e9);
  std::vector<int> repeats(rivals.size(), 1);
  for (size_t i = 0; i < rivals.size(); i++) {
    rivals[i]();
    double start = busy();
    rivals[i]();
    double once = busy() - start;
    repeats[i] = once > 2e-4 ? 1 : int(2e-4 / (once + 1e-9)) + 1;
  }
  for (double end = busy() + budget; busy() < end;) {
    for (size_t i = 0; i < rivals.size(); i++) {
      double start = busy();
      for (int r = 0; r < repeats[i]; r++) rivals[i]();
      best[i] = std::min(best[i], (busy() - start) / repeats[i]);
    }
  }
  return best;
}
