"""The examples of the Chat Completion API's own document, as the reference shows them."""

FORMAT = """{
    "messages": [
        {
            "role": "user",
            "content": [
                {
                    "type": "text",
                    "text": "Explique o que é inteligência artificial em uma frase."
                }
            ]
        }
    ],
    "model": "microsoft/DialoGPT-medium",
    "stream": false,
    "temperature": 0.7,
    "max_tokens": 100
}""".encode()

PLAIN = """{
    "messages": [
        {
            "role": "user",
            "content": "Qual é a capital do Brasil?"
        }
    ],
    "model": "microsoft/DialoGPT-medium",
    "temperature": 0.7
}""".encode()

STRUCTURED = """{
    "messages": [
        {
            "role": "user",
            "content": [
                {
                    "type": "text",
                    "text": "Explique como funciona a inteligência artificial"
                }
            ]
        }
    ],
    "model": "microsoft/DialoGPT-large",
    "stream": false,
    "temperature": 0.5,
    "max_tokens": 500
}""".encode()

CONVERSATION = """{
    "messages": [
        {
            "role": "system",
            "content": "Você é um assistente especializado em tecnologia."
        },
        {
            "role": "user",
            "content": "O que é machine learning?"
        },
        {
            "role": "assistant",
            "content": "Machine learning é uma área da inteligência artificial..."
        },
        {
            "role": "user",
            "content": "Quais são os principais tipos?"
        }
    ],
    "model": "microsoft/DialoGPT-medium",
    "temperature": 0.7,
    "max_tokens": 300
}""".encode()

QUESTION = """{
    "message": "Qual é a capital do Brasil?",
    "model": "microsoft/DialoGPT-medium",
    "temperature": 0.7
}""".encode()
"""The document names the older form and shows no example of it."""

ANSWER = b"""{
    "success": true,
    "data": {
        "response": "Resposta do modelo aqui...",
        "model": "microsoft/DialoGPT-medium",
        "usage": {
            "prompt_tokens": 25,
            "completion_tokens": 50,
            "total_tokens": 75
        }
    }
}"""
