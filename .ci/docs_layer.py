#!/usr/bin/env python3
"""Prints the folder of the built DocsLayer that the function finds as its SCIM_DOCS.

`sam build` leaves a layer without a build method where it is, and names that folder in the built template.
"""

import pathlib

from samcli.yamlhelper import yaml_parse

from template import functions

BUILT = pathlib.Path(".aws-sam/build/template.yaml")

layer = yaml_parse(BUILT.read_text())["Resources"]["DocsLayer"]["Properties"]["ContentUri"]
variables = functions()["Function"]["Properties"]["Environment"]["Variables"]
inside = pathlib.PurePosixPath(variables["SCIM_DOCS"]["Fn::If"][1]).relative_to("/opt")
folder = (BUILT.parent / layer / inside).resolve(strict=True)
print(folder)
