"""Sends each line of standard input to a model of watsonx.ai, with the token that an IamToken keeps alive in a file.

Needs nothing but Python 3.9 or later.
"""

import json
import os
import sys
import urllib.error
import urllib.request
from pathlib import Path

URL = os.environ.get("WATSONX_URL", "https://us-south.ml.cloud.ibm.com")
MODEL = os.environ.get("WATSONX_MODEL", "ibm/granite-3-8b-instruct")
PROJECT = os.environ["WATSONX_PROJECT"]
AUTHORIZATION = Path(os.environ.get("AUTHORIZATION_FILE", "/var/run/iam/authorization"))


def generate(prompt: str) -> str:
    body = {"model_id": MODEL, "project_id": PROJECT, "input": prompt, "parameters": {"max_new_tokens": 200}}
    request = urllib.request.Request(
        f"{URL}/ml/v1/text/generation?version=2025-02-11",
        data=json.dumps(body).encode(),
        headers={
            # Read for each request: the kubelet replaces the file soon after every refresh.
            "Authorization": AUTHORIZATION.read_text().strip(),
            "Content-Type": "application/json",
            "Accept": "application/json",
        },
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)["results"][0]["generated_text"]


def main() -> int:
    failed = 0
    for line in sys.stdin:
        try:
            print(generate(line.strip()), flush=True)
        except urllib.error.HTTPError as error:
            failed = 1
            print(f"{error.code}: {error.read().decode()}", file=sys.stderr, flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
