# make build | demo | test | bench | lint | deps | clean; see README.md
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.PHONY: build library cli demo test bench lint deps clean

VERSION := 1.0.0
ABI := 1
BUILD := build
# One set of compiler flags for library and command line, so that what both need is compiled once.
SWIFT_BUILD := swift build -c release -Xswiftc -static-stdlib -Xswiftc -use-ld=lld

build: library cli

# The dynamic product, with its final name: soname, symbol versions, no undefined symbols, stripped.
library: deps
	$(SWIFT_BUILD) --product MuELibrary -Xlinker --version-script=$(CURDIR)/scripts/libmue.map \
	  -Xlinker -soname=libmue.so.$(ABI) -Xlinker -z -Xlinker defs
	mkdir -p $(BUILD)/lib $(BUILD)/include $(BUILD)/bin
	strip --strip-unneeded -o $(BUILD)/lib/libmue.so.$(VERSION) "$$($(SWIFT_BUILD) --show-bin-path)/libMuELibrary.so"
	ln -sf libmue.so.$(VERSION) $(BUILD)/lib/libmue.so.$(ABI)
	ln -sf libmue.so.$(ABI) $(BUILD)/lib/libmue.so
	cp include/mue.h $(BUILD)/include/mue.h

cli: deps
	$(SWIFT_BUILD) --product mue
	mkdir -p $(BUILD)/bin
	strip -o $(BUILD)/bin/mue "$$($(SWIFT_BUILD) --show-bin-path)/mue"

demo: build python
	scripts/demo

test: build python
	scripts/test

# OFA and the demo model beside other runtimes: docs/performance.md. BENCH has options of Benchmarks/run.py.
bench: build python
	scripts/deps libdnnl-dev
	scripts/python-env .venv-bench requirements-bench.txt
	.venv/bin/python Benchmarks/ofa/prepare.py --work $(BUILD)/bench
	$(MAKE) -C Benchmarks/kernels roofline
	.venv-bench/bin/python Benchmarks/run.py --work $(BUILD)/bench $(BENCH)

lint:
	scripts/lint

# What apt provides; does nothing when all of it is there.
deps:
	@scripts/deps

# The virtual environment with the pinned packages of requirements-test.txt.
.PHONY: python
python: deps
	@scripts/python-env

clean:
	rm -rf $(BUILD) .build
