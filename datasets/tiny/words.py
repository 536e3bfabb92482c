#!/usr/bin/env python3
"""The words that must be one token each, one a line: words.py smallworld.c

The names and lists of the small world's tables that prompts and answers are made of.
"""
import re
import sys

with open(sys.argv[1], encoding="ascii") as f:
    source = f.read()


def table(name):
    body = re.search(rf"{name}\[\] = (.*?)\}};", source, re.S).group(1)
    return re.findall(r'\{"(\w+)"', body)


def words(name):
    body = re.search(rf"WORDS\({name},(.*?)\);", source, re.S).group(1)
    return re.findall(r'"(\w+)"', body)


for word in (table("sw_people") + table("sw_towns") + table("sw_counties")
             + words("sw_places") + words("sw_objects") + words("sw_jobs")):
    print(word)
