#include "mue_codecs.h"
