# Foz with the extra for RabbitMQ and Redis: `foz serve`, or another command of it.
FROM python:3.13-slim
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN pip install --no-cache-dir '.[scale]' && useradd --create-home foz && install -d -o foz -g foz -m 700 /data
USER foz
WORKDIR /home/foz
ENV FOZ_DATA=/data FOZ_HOST=0.0.0.0
VOLUME /data
EXPOSE 8000
ENTRYPOINT ["foz"]
CMD ["serve"]
