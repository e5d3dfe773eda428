#include "mue_kernels.h"
