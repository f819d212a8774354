"""Whole networks: conversion, re-placing, the life of their chips, storage, and what is counted on them."""
